"""What a pack for a GPU machine asks for, and the mistakes of making one; a whole pack takes minutes and a network."""

import re
import subprocess
from pathlib import Path

import pytest

from taixue import UserError
from taixue.launch import pack_gpu


def test_what_the_machine_lacks_is_wanted_as_pyproject_has_it() -> None:
    lines = pack_gpu.wanted()
    names = {re.split(r"[^A-Za-z0-9_-]", line)[0] for line in lines}
    assert names == {"sentencepiece", "pydantic", "tyro", "PyYAML", "rich", "orjson", "zstandard"}
    assert "sentencepiece>=0.2.3" in lines


def test_mistakes(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"--python python3\.99: not found"):
        pack_gpu.pack(tmp_path / "new", "python3.99")
    with pytest.raises(UserError, match="exists; name a new folder"):
        pack_gpu.pack(tmp_path, "python3")
    assert not (tmp_path / "new").exists()


def test_a_wheel_without_extensions_is_refused(tmp_path: Path) -> None:
    import zipfile

    wheel = tmp_path / "taixue_pretrain-0.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("taixue/data_tools/_native.so", "")
    with pytest.raises(UserError, match="1 of 2 C\\+\\+ extensions"):
        pack_gpu._check_extensions(wheel)


def test_the_setup_script_is_sound() -> None:
    script = Path(pack_gpu.__file__).with_name("gpu_setup.sh")
    subprocess.run(["bash", "-n", str(script)], check=True)
