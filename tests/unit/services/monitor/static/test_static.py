"""The files of the page, as they lie in the package."""

import re
from importlib import resources

PAGE = resources.files("services.monitor") / "static"
OWN = [
    entry
    for folder in (PAGE, PAGE / "js", PAGE / "js" / "days")
    for entry in folder.iterdir()
    if entry.name.endswith((".js", ".html", ".css", ".svg"))
]


def test_the_page_is_in_the_package_with_the_licence_of_what_it_brings() -> None:
    assert {"index.html", "app.js", "style.css"} <= {entry.name for entry in OWN}
    vendored = list((PAGE / "vendor").iterdir())
    assert [folder.name for folder in vendored] == ["uplot-1.6.32"]
    assert {entry.name for entry in vendored[0].iterdir()} == {"LICENSE", "uPlot.iife.min.js", "uPlot.min.css"}
    assert "MIT License" in (vendored[0] / "LICENSE").read_text()


def test_nothing_from_the_wire_can_become_markup() -> None:
    forbidden = re.compile(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|DOMParser")
    for entry in OWN:
        assert not forbidden.search(entry.read_text(encoding="utf-8")), entry.name


def test_the_page_has_nothing_that_its_policy_forbids() -> None:
    page = (PAGE / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|<script(?![^>]*\ssrc=)", page)
    for entry in OWN:
        addresses = set(re.findall(r"https?://[^\s\"'`)]+", entry.read_text(encoding="utf-8")))
        assert addresses <= {"http://www.w3.org/2000/svg"}, entry.name
