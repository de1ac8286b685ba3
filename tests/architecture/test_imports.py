"""The rules of the house, read from the imports."""

import pytest

from tests.architecture.sources import OURS, Module, files, imported, modules, within


def imports(module: Module) -> set[str]:
    return {name for _, name in imported(module.tree)}


@pytest.mark.parametrize("package", ["binance_streamer", "simulator"])
def test_what_others_import_knows_no_service(package: str) -> None:
    others = [other for other in OURS if other != package]
    for module in modules(package):
        wrong = [name for name in imports(module) if any(within(name, other) for other in others)]
        assert wrong == [], f"{module.path} imports {wrong}"


def test_no_service_imports_another() -> None:
    for module in modules("services"):
        own = module.path.split("/")[1]
        allowed = {f"services.{own}", "services.runtime"}
        wrong = [
            name
            for name in imports(module)
            if within(name, "simulator") or (within(name, "services") and not any(within(name, a) for a in allowed))
        ]
        assert wrong == [], f"{module.path} imports {wrong}"


def test_sockets_are_made_in_one_place() -> None:
    for package in OURS:
        for module in modules(package):
            if not module.path.endswith("/sockets.py"):
                assert ".socket(zmq." not in module.text, module.path


def test_only_ingest_and_rest_know_urls() -> None:
    for module in modules("services"):
        service = module.path.split("/")[1]
        if service not in ("ingest", "rest"):
            assert "/fapi/" not in module.text, module.path
            assert "websocket_url" not in module.text, module.path


def test_every_folder_of_tests_is_a_package() -> None:
    """Two modules of one name are mistaken for each other otherwise."""
    paths = files("tests")
    folders = {folder for folder, _, name in (path.rpartition("/") for path in paths) if name.startswith("test_")}
    assert [folder for folder in sorted(folders) if f"{folder}/__init__.py" not in paths] == []
