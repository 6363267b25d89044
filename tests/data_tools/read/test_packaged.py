"""Text that comes with Taixue is found from any folder; another name is refused."""

from pathlib import Path

import pytest

from taixue import UserError
from taixue.data_tools.read import find


def test_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    files = find(["package:sample"]).files
    assert files
    assert all(Path(file).is_file() for file in files)


@pytest.mark.parametrize("name", ["package:smaple", "package:", "package:../read", "package:/etc"])
def test_only_what_is_there(name: str) -> None:
    with pytest.raises(UserError, match=r"does not come with Taixue; there is package:sample"):
        find([name])
