"""Sums of squares of many tensors by multi_tensor.cu: built by nvcc on first use, loaded by ctypes.

The library lies in $XDG_CACHE_HOME/taixue (or ~/.cache/taixue) under a name made of its source and target, so that it
is built once per machine. Without nvcc, or if it fails, `obstacle` says so and the caller takes another path.
"""

import ctypes
import hashlib
import os
import shutil
import subprocess
from collections.abc import Sequence
from functools import cache, lru_cache
from pathlib import Path

import torch
from torch import Tensor

from ..dispatch import mode

SOURCE = Path(__file__).with_name("multi_tensor.cu")

CHUNK = 65536
"""Numbers that a block sums."""

WARPS = {"chunk_sums": 16, "tensor_sums": 1}
"""Of a block of each kernel."""

DEADLINE = 120.0
"""Seconds for nvcc, which takes about 5."""


def obstacle(tensors: Sequence[Tensor]) -> str:
    """Why these tensors cannot be summed by the library; "" when they can."""
    if mode() != "auto":
        return f"TAIXUE_KERNELS={mode()}"
    if not all(t.is_cuda and t.dtype == torch.float32 and t.is_contiguous() for t in tensors):
        return "takes contiguous fp32 tensors on a CUDA device"
    capability = torch.cuda.get_device_capability(tensors[0].device)
    return _loaded(f"sm_{capability[0]}{capability[1]}")[1]


def square_sums(tensors: Sequence[Tensor]) -> Tensor:
    """As kernels.optim.square_sums, for contiguous fp32 tensors on one CUDA device."""
    device = tensors[0].device
    capability = torch.cuda.get_device_capability(device)
    library, reason = _loaded(f"sm_{capability[0]}{capability[1]}")
    assert library is not None, reason
    sizes, tensor_of, start_of, first_of = _chunks(tuple(tensor.numel() for tensor in tensors), device)
    host = torch.tensor([tensor.data_ptr() for tensor in tensors]).pin_memory()
    addresses = host.to(device, non_blocking=True)
    partial = torch.empty(len(tensor_of), dtype=torch.float64, device=device)
    out = torch.empty(len(tensors), dtype=torch.float64, device=device)
    inputs = [tensor.data_ptr() for tensor in (addresses, sizes, tensor_of, start_of, first_of)]
    counts = CHUNK, len(tensors), len(tensor_of)
    with torch.cuda.device(device):
        stream = torch.cuda.current_stream(device).cuda_stream
        status = library.taixue_square_sums(*inputs, *counts, partial.data_ptr(), out.data_ptr(), stream)
    if status:
        raise RuntimeError(f"taixue_square_sums: CUDA error {status}")
    return out


@lru_cache(maxsize=16)
def _chunks(sizes: tuple[int, ...], device: torch.device) -> tuple[Tensor, ...]:
    """Sizes, tensor and start of each chunk, first chunk of each tensor: int64, on the device."""
    numel = torch.tensor(sizes)
    counts = (numel + CHUNK - 1) // CHUNK
    first = counts.cumsum(0) - counts
    tensor = torch.repeat_interleave(torch.arange(len(sizes)), counts)
    start = (torch.arange(len(tensor)) - first[tensor]) * CHUNK
    return tuple(part.to(device) for part in (numel, tensor, start, first))


@cache
def _loaded(target: str) -> tuple[ctypes.CDLL | None, str]:
    """(the library for one target, "") or (None, why not)."""
    cache_home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    digest = hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:16]
    path = Path(cache_home) / "taixue" / f"multi_tensor-{target}-{digest}.so"
    try:
        if not path.exists():
            build(path, target)
        library = ctypes.CDLL(str(path))
    except (ImportError, OSError, subprocess.SubprocessError) as error:
        return None, str(error).splitlines()[0]
    library.taixue_square_sums.argtypes = [ctypes.c_void_p] * 5 + [ctypes.c_int64] * 3 + [ctypes.c_void_p] * 3
    library.taixue_square_sums.restype = ctypes.c_int
    return library, ""


def compiler() -> str:
    """Where nvcc is. Raises ImportError when it is nowhere."""
    nvcc = shutil.which("nvcc") or shutil.which("nvcc", path="/usr/local/cuda/bin")
    if nvcc is None:
        raise ImportError("nvcc is missing")
    return nvcc


def build(path: Path, target: str) -> str:
    """Compile the library for a target such as sm_90; what ptxas says about registers. Raises what _loaded catches.

    Several ranks may build at once: each renames a file of its own.
    """
    nvcc = compiler()
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    command = [nvcc, "-O3", f"-arch={target}", "-shared", "-Xcompiler", "-fPIC", "-Xptxas", "-v"]
    done = subprocess.run(
        [*command, "-o", str(temporary), str(SOURCE)], capture_output=True, text=True, timeout=DEADLINE
    )
    if done.returncode:
        raise OSError(f"nvcc failed: {done.stderr.strip()}")
    temporary.rename(path)
    return done.stderr
