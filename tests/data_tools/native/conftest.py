"""Both sides of the comparison: the C++ extension and the plain twins."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from taixue.data_tools import native
from taixue.data_tools.native import extension


@pytest.fixture(autouse=True)
def needs_the_extension() -> None:
    if not native.is_native():
        pytest.skip(f"the C++ extension is not there: {native.status()}")


@contextmanager
def plain() -> Iterator[None]:
    """The plain twins, as TAIXUE_NATIVE=off chooses them."""
    before = os.environ.get("TAIXUE_NATIVE")
    os.environ["TAIXUE_NATIVE"] = "off"
    extension.loaded.cache_clear()
    assert not native.is_native()
    try:
        yield
    finally:
        os.environ.pop("TAIXUE_NATIVE")
        if before is not None:
            os.environ["TAIXUE_NATIVE"] = before
        extension.loaded.cache_clear()
