"""Has tests run twice: with the compiled kernel, where one was built, and in Python alone."""

from collections.abc import Iterator
from typing import Any

import pytest

from services.writer import kernel

_WAYS = ("kernel", "python") if kernel.template_class is not None else ("python",)


def _with_and_without_kernel(request: pytest.FixtureRequest) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "python":
            patch.setattr(kernel, "template_class", None)
        yield


both_ways: Any = pytest.fixture(_with_and_without_kernel, params=_WAYS, autouse=True, scope="module", name="way")
"""To be imported by a module of tests, or by the conftest.py of a folder."""
_SLOW = [pytest.param(one, marks=pytest.mark.slow if number else ()) for number, one in enumerate(_WAYS)]
both_ways_of_properties: Any = pytest.fixture(
    _with_and_without_kernel, params=_SLOW, autouse=True, scope="module", name="way"
)
"""The same for tests that take seconds: the second way is marked slow."""


def _without_kernel() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernel, "template_class", None)
        yield


python_alone: Any = pytest.fixture(_without_kernel, autouse=True, scope="module", name="without_kernel")
"""The same for tests of what only Python does."""
