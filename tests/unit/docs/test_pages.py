"""What the Markdown files point to is there: links, anchors, files and folders in backticks."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.data import REPOSITORY

PAGES = sorted(
    [*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").rglob("*.md"), REPOSITORY / "benchmarks" / "RESULTS.md"]
)
FOLDERS = ("binance_streamer", "services", "simulator", "config", "docs", "tests", "benchmarks", "ops")
_link = re.compile(r"(?<!\\)\]\(([^)\s]+)\)")
_code = re.compile(r"`([^`\n]+)`")
_path = re.compile(rf"(?:{'|'.join(FOLDERS)})/[\w./-]*")


def prose(page: Path) -> str:
    """The text without blocks of code."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return "\n".join(line for line in text.splitlines() if not line.startswith("    "))


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub makes of headings."""
    headings = re.findall(r"^#{1,6} (.*)$", prose(page), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links() -> Iterator[tuple[str, str]]:
    """(page, target) of all links that are not to elsewhere."""
    for page in PAGES:
        for target in _link.findall(prose(page)):
            if not re.match(r"https?://|mailto:", target):
                yield str(page.relative_to(REPOSITORY)), target


@pytest.mark.parametrize(("page", "target"), sorted(set(links())))
def test_a_link_leads_somewhere(page: str, target: str) -> None:
    name, _, anchor = target.partition("#")
    place = (REPOSITORY / page).parent / name if name else REPOSITORY / page
    assert place.exists(), f"{page}: {name} is not there"
    if anchor:
        assert anchor in anchors(place), f"{page}: {name} has no heading #{anchor}"


def test_files_and_folders_in_backticks_are_there() -> None:
    missing = []
    for page in PAGES:
        for code in _code.findall(prose(page)):
            if not _path.fullmatch(code):
                continue
            if not any((root / code).exists() for root in (REPOSITORY, page.parent)):
                missing.append(f"{page.relative_to(REPOSITORY)}: {code}")
    assert not missing


def test_every_folder_and_helper_of_the_tests_is_on_the_page_about_testing() -> None:
    page = (REPOSITORY / "docs" / "testing.md").read_text(encoding="utf-8")
    first_cells = {
        name for line in page.splitlines() if line.startswith("|") for name in _code.findall(line.split("|")[1])
    }
    folders = {f"tests/{path.parent.name}" for path in (REPOSITORY / "tests").glob("*/__init__.py")} - {"tests/support"}
    helpers = {path.stem for path in (REPOSITORY / "tests" / "support").glob("*.py")} - {"__init__", "test_support"}
    assert folders | helpers <= first_cells


def test_every_page_can_be_reached_from_the_readme() -> None:
    seen, waiting = set(), [REPOSITORY / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in seen or page.suffix != ".md":
            continue
        seen.add(page)
        targets = (target.partition("#")[0] for target in _link.findall(prose(page)))
        waiting += [(page.parent / name).resolve() for name in targets if name and (page.parent / name).is_file()]
    assert {page.relative_to(REPOSITORY) for page in (REPOSITORY / "docs").glob("*.md")} <= {
        page.relative_to(REPOSITORY) for page in seen
    }


def test_the_readme_has_at_most_900_words() -> None:
    """Commands and file names count, programs between fences do not."""
    text = re.sub(r"^```.*?^```$", "", (REPOSITORY / "README.md").read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    assert len(text.split()) <= 900
