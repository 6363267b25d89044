"""Steps about the machine: what is here, what it can do at best, the one library that is built on it."""

import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version

import torch

from taixue.data_tools.native import extension
from taixue.kernels import dispatch, optim

from ...objectives.native import masking
from ...observe.peak import lookup
from ..clock import GIB, ceilings
from .journal import Bench

PACKAGES = ("torch", "triton", "transformers", "numpy", "pydantic", "tyro", "sentencepiece", "liger-kernel")
EXTENSIONS = {"of corpus work": extension.loaded, "of masking": masking.loaded}


def environment(bench: Bench) -> None:
    """Versions, driver and card; the C++ extensions load; a copy, a product; square_sums in float64."""
    bench.figure("python", platform.python_version())
    for package in PACKAGES:
        bench.figure(package, _version(package))
    device = torch.device(bench.device)
    bench.figure(
        "card", torch.cuda.get_device_name() if not bench.dry else f"none (CPU {platform.machine()})"
    )
    bench.figure("driver", _driver())
    if not bench.dry:
        memory = torch.cuda.get_device_properties(0).total_memory
        bench.figure("memory", round(memory / GIB, 1), "GiB")
        bench.figure("CUDA", str(torch.version.cuda))
    for name, loaded in EXTENSIONS.items():
        bench.holds(f"C++ extension {name} loads", loaded() is not None)
    for op, path, why in dispatch.explain():
        bench.figure(f"path of {op}", f"{path} ({why})")
    _ceilings(bench, device)
    _square_sums(bench, device)


def _ceilings(bench: Bench, device: torch.device) -> None:
    best = ceilings(device, small=bench.dry)
    bench.figure("copy", round(best.bandwidth / 1e9, 1), "GB/s")
    bench.figure("bf16 product", round(best.arithmetic / 1e12, 2), "TFLOP/s")
    peak = None if bench.dry else lookup(torch.cuda.get_device_name(), "bf16")
    if peak is not None:
        bench.figure("bf16 product, share of the maker's peak", round(best.arithmetic / peak, 3))


def _square_sums(bench: Bench, device: torch.device) -> None:
    """On a GPU by the CUDA C++ library where nvcc is, which sums in float64; elsewhere PyTorch's fp32 sums."""
    torch.manual_seed(0)
    tensors = [torch.randn(count, device=device) for count in (1, 65_536, 65_537, 300_001)]
    obstacle = optim.cuda.obstacle(tensors)
    bench.figure("nvcc square_sums", obstacle or "built and loaded")
    found, exact = optim.square_sums(tensors), torch.stack([t.double().square().sum() for t in tensors])
    error = ((found - exact).abs() / exact).max().item()
    bench.at_most("square_sums beside float64", error, 1e-5 if obstacle else 1e-12)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "missing"


def _driver() -> str:
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout.split()[
            0
        ]
    except (OSError, subprocess.SubprocessError, IndexError):
        return "none"
