"""The licences of all that an installation brings: none that spreads to its users, and all of them documented."""

import re
from collections.abc import Iterator
from importlib import metadata

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.data import REPOSITORY

OURS = "binance-streamer"
EXTRAS = frozenset({"days"})
_spreads = re.compile(r"(?<![A-Za-z])A?GPL|GNU (Affero )?General Public|Affero", re.IGNORECASE)


def requirements(name: str, extras: frozenset[str]) -> Iterator[tuple[str, frozenset[str]]]:
    """The distributions that this one needs here, each with the extras that it is asked for."""
    for text in metadata.requires(name) or ():
        wanted = Requirement(text)
        if wanted.marker is None or any(wanted.marker.evaluate({"extra": extra}) for extra in ("", *extras)):
            yield canonicalize_name(wanted.name), frozenset(wanted.extras)


def installed() -> set[str]:
    """The runtime dependencies of ours and theirs, those of our extras too, as they are installed."""
    seen: set[tuple[str, frozenset[str]]] = set()
    waiting = list(requirements(OURS, EXTRAS))
    while waiting:
        found = waiting.pop()
        if found not in seen:
            seen.add(found)
            waiting += requirements(*found)
    return {name for name, _ in seen}


def licence(name: str) -> str:
    """The licence that a distribution's metadata states; empty where it states none."""
    stated = metadata.metadata(name)
    classified = [line.rpartition(" :: ")[2] for line in stated.get_all("Classifier", []) if line.startswith("License")]
    named = stated["License"] or ""
    whole_text = "\n" in named  # polars has the licence itself there, and its name among the classifiers
    return str(stated["License-Expression"] or (not whole_text and named) or " AND ".join(classified) or "")


def documented() -> dict[str, str]:
    """The table of the page: name, licence."""
    page = (REPOSITORY / "docs" / "licences.md").read_text(encoding="utf-8")
    return dict(re.findall(r"^\| `([a-z0-9-]+)` \| ([^|]+) \|", page, flags=re.MULTILINE))


DEPENDENCIES = sorted(installed())


def test_ours_is_the_mit_licence() -> None:
    assert licence(OURS) == "MIT"
    assert (
        (REPOSITORY / "LICENSE")
        .read_text(encoding="utf-8")
        .startswith("MIT License\n\nCopyright (c) 2026 binance-streamer contributors\n")
    )


def test_dependencies_of_dependencies_are_among_them() -> None:
    assert {"pyzmq", "supervisor", "requests", "urllib3", "certifi", "starlette", "anyio"} <= set(DEPENDENCIES)
    assert "pytest" not in DEPENDENCIES


@pytest.mark.parametrize("name", DEPENDENCIES)
def test_no_dependency_has_a_licence_that_spreads(name: str) -> None:
    stated = licence(name)
    assert stated, f"{name} states no licence"
    assert not _spreads.search(stated), f"{name}: {stated}"


@pytest.mark.parametrize(
    ("stated", "spreads"),
    [
        ("GPL-3.0-or-later", True),
        ("AGPL-3.0-only", True),
        ("MIT AND GPL-2.0-only", True),
        ("GNU General Public License v3 (GPLv3)", True),
        ("GNU Affero General Public License v3", True),
        ("gpl", True),
        ("LGPL-2.1-or-later", False),
        ("GNU Lesser General Public License v3 (LGPLv3)", False),
        ("MPL-2.0", False),
        ("BSD-3-Clause", False),
    ],
)
def test_a_licence_that_spreads_is_recognised(stated: str, spreads: bool) -> None:
    assert bool(_spreads.search(stated)) is spreads


def test_every_dependency_is_documented_with_its_licence_and_no_other_one() -> None:
    assert documented() == {name: licence(name) for name in DEPENDENCIES}
