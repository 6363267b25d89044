"""Our writer's files are the safetensors library's, byte for byte, and their digests are taken on the way."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from taixue.pretrain.checkpoint import layout, tensor_file
from taixue.pretrain.checkpoint.tensor_file import write_tensors

DTYPES = sorted(tensor_file._DTYPES, key=str)


def random(dtype: torch.dtype, *shape: int) -> Tensor:
    """Any bits at all, NaNs among them; of a bool 0 and 1."""
    values = torch.randint(0, 256, (torch.Size(shape).numel() * dtype.itemsize,), dtype=torch.uint8)
    return (values % 2 if dtype == torch.bool else values).view(dtype).view(shape)


def bits(tensor: Tensor) -> bytes:
    return bytes(tensor.contiguous().view(-1).view(torch.uint8).numpy())


@pytest.fixture
def tensors() -> dict[str, Tensor]:
    """Every dtype in every shape, in no order."""
    torch.manual_seed(0)
    made = {}
    for number, dtype in enumerate(DTYPES):
        for name, shape in {"z": (), "矩阵": (3, 5), 'a"\n': (7,), "empty": (0, 4)}.items():
            made[f"{name}.{(number * 7) % len(DTYPES)}"] = random(dtype, *shape)
    return made


def test_every_dtype_comes_back_bit_for_bit(tensors: dict[str, Tensor], tmp_path: Path) -> None:
    write_tensors(tmp_path / "ours", tensors)
    read = load_file(tmp_path / "ours")
    assert read.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert (read[name].dtype, read[name].shape, bits(read[name])) == (
            tensor.dtype,
            tensor.shape,
            bits(tensor),
        )
    with safe_open(tmp_path / "ours", framework="pt") as file:
        assert {*file.keys()} == tensors.keys()


@pytest.mark.parametrize("piece", [3, 64, 2**24])
def test_bytes_are_those_of_the_library(
    piece: int, tensors: dict[str, Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tensor_file, "_PIECE", piece)
    digest = write_tensors(tmp_path / "ours", tensors)
    save_file(tensors, tmp_path / "theirs")
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()
    assert digest == layout.digest(tmp_path / "ours")


def test_strides_and_gradients_do_not_matter(tmp_path: Path) -> None:
    weight = torch.randn(6, 4, requires_grad=True)
    tensors = {"transposed": weight.t(), "column": weight[:, 1], "part": weight[2:5]}
    write_tensors(tmp_path / "ours", tensors)
    read = load_file(tmp_path / "ours")
    assert all(torch.equal(read[name], tensor) for name, tensor in tensors.items())


@pytest.mark.parametrize(
    ("path", "error"),
    [
        (lambda folder: Path("/dev/full"), r"\[Errno 28\] No space left"),
        (lambda folder: folder / "lost/file", r"\[Errno 2\] No such file"),
    ],
    ids=["full", "lost"],
)
@pytest.mark.parametrize("rows", [1, 2**16])
def test_a_full_disk_and_a_lost_folder_are_said(
    path: Callable[[Path], Path], error: str, rows: int, tmp_path: Path
) -> None:
    with pytest.raises(OSError, match=error):
        write_tensors(path(tmp_path), {"weight": torch.ones(rows, 8)})
