"""These tests compare the C++ extension with its twins."""

import pytest

from taixue.base import compiled
from taixue.pretrain.objectives.native import masking


@pytest.fixture(autouse=True)
def needs_the_extension() -> None:
    if masking.loaded() is None:
        pytest.skip(f"the C++ extension is not there: {compiled.status(None)}")
