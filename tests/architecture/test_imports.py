"""The rules of the house, read from the imports."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OURS = ("binance_streamer", "services", "simulator")


def modules(package: str) -> Iterator[Path]:
    found = sorted((ROOT / package).rglob("*.py"))
    assert found
    return iter(found)


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


def within(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


@pytest.mark.parametrize("package", ["binance_streamer", "simulator"])
def test_what_others_import_knows_no_service(package: str) -> None:
    others = [other for other in OURS if other != package]
    for path in modules(package):
        wrong = [name for name in imports(path) if any(within(name, other) for other in others)]
        assert wrong == [], f"{path.relative_to(ROOT)} imports {wrong}"


def test_no_service_imports_another() -> None:
    for path in modules("services"):
        own = path.relative_to(ROOT / "services").parts[0]
        allowed = {f"services.{own}", "services.runtime"}
        wrong = [
            name
            for name in imports(path)
            if within(name, "simulator") or (within(name, "services") and not any(within(name, a) for a in allowed))
        ]
        assert wrong == [], f"{path.relative_to(ROOT)} imports {wrong}"


def test_sockets_are_made_in_one_place() -> None:
    for package in OURS:
        for path in modules(package):
            if path.name != "sockets.py":
                assert ".socket(zmq." not in path.read_text(encoding="utf-8"), path


def test_only_ingest_and_rest_know_urls() -> None:
    for path in modules("services"):
        service = path.relative_to(ROOT / "services").parts[0]
        if service not in ("ingest", "rest"):
            assert "/fapi/" not in path.read_text(encoding="utf-8"), path
            assert "websocket_url" not in path.read_text(encoding="utf-8"), path


def test_pure_modules_do_no_input_or_output() -> None:
    outside = {"zmq", "socket", "time", "requests", "websocket", "sqlite3", "threading", "subprocess"}
    for name in ("binance_streamer/wire.py", "binance_streamer/exchange.py", "services/runtime/records.py"):
        assert {module.split(".")[0] for module in imports(ROOT / name)}.isdisjoint(outside), name


def test_every_folder_of_tests_is_a_package() -> None:
    """Two modules of one name are mistaken for each other otherwise."""
    folders = {path.parent for path in (ROOT / "tests").rglob("test_*.py")}
    assert [folder for folder in sorted(folders) if not (folder / "__init__.py").is_file()] == []
