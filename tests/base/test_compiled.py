"""Extensions that are missing, of another version or switched off leave the work to plain Python."""

from types import ModuleType

import pytest

from taixue.base import compiled


@pytest.fixture
def extension(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.delenv("TAIXUE_NATIVE", raising=False)
    module = ModuleType("taixue_made_extension")
    module.VERSION = 2  # type: ignore[attr-defined]
    return module


def test_the_right_version(extension: ModuleType) -> None:
    assert compiled.load(lambda: extension, 2) is extension
    assert compiled.status(extension) == "C++ extension"


def test_another_version(extension: ModuleType) -> None:
    with pytest.warns(UserWarning, match=r"another version \(2, not 3\)"):
        assert compiled.load(lambda: extension, 3) is None


def test_not_built(extension: ModuleType) -> None:
    def missing() -> ModuleType:
        raise ImportError

    assert compiled.load(missing, 2) is None
    assert "C++17 compiler" in compiled.status(None)


def test_switched_off(extension: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAIXUE_NATIVE", "off")
    assert compiled.load(lambda: extension, 2) is None
    assert compiled.status(None) == "plain Python (TAIXUE_NATIVE=off)"
