"""`taixue doctor`: what this machine has, what each part is for, and how to get what is missing.

Every probe is on its own: one that fails in any way becomes a line of the table, never the end of it.
"""

import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from taixue.base import UserError

if TYPE_CHECKING:
    from rich.table import Table

GIB = 2**30


@dataclass(frozen=True)
class Probe:
    """One line: `find` returns what is there, or raises; required parts that are missing are marked."""

    name: str
    purpose: str
    remedy: str
    find: Callable[[], str]
    required: bool = False


def report() -> bool:
    """Print the table; True when every required part is there."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table("part", "found", "what it is for", box=None, header_style="bold", padding=(0, 2, 0, 0))
    complete = True
    with Console(stderr=True).status("looking around"):
        for probe in PROBES:
            found, error = _try(probe)
            complete = complete and not (error and probe.required)
            style = "" if not error else "red" if probe.required else "yellow"
            remedy = f"; {probe.remedy}" if error and probe.remedy else ""
            table.add_row(probe.name, escape(error or found), escape(f"{probe.purpose}{remedy}"), style=style)
    Console(highlight=False).print(table)
    Console(highlight=False).print(_kernels())
    return complete


def _kernels() -> "Table":
    """Which implementation each op takes here."""
    from rich.table import Table

    from taixue.kernels.dispatch import explain, mode

    table = Table(
        "op", "runs in", f"why (TAIXUE_KERNELS={mode()})", box=None, header_style="bold", padding=(0, 2, 0, 0)
    )
    try:
        for op, path, reason in explain():
            table.add_row(op, path, reason)
    except UserError as error:
        table.add_row("", "", str(error), style="yellow")
    return table


def _try(probe: Probe) -> tuple[str, str]:
    """(what was found, "") or ("", why not)."""
    try:
        return probe.find(), ""
    except (ImportError, importlib.metadata.PackageNotFoundError):
        return "", "missing"
    except Exception as error:  # a probe must not end the report, whatever a broken installation raises
        return "", f"broken: {str(error).splitlines()[0] if str(error) else type(error).__name__}"[:60]


def _package(distribution: str) -> Callable[[], str]:
    return lambda: importlib.metadata.version(distribution)


def _torch() -> str:
    import torch

    return str(torch.__version__)


def _gpu() -> str:
    import torch

    if not torch.cuda.is_available():
        raise ImportError
    names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return (
        ", ".join(f"{names.count(name)} x {name}" for name in sorted(set(names)))
        + f", CUDA {torch.version.cuda}"
    )


def _backend(name: str) -> Callable[[], str]:
    def find() -> str:
        import torch.distributed as dist

        if not dist.is_available() or not dist.is_backend_available(name):
            raise ImportError
        return "available"

    return find


def _apex() -> str:
    from taixue.kernels.apex import found

    if not found():
        raise ImportError
    return ", ".join(found())


def _nvcc() -> str:
    from taixue.kernels.optim.cuda import compiler

    return compiler()


def _mpi() -> str:
    version = importlib.metadata.version("mpi4py")
    code = "from mpi4py import MPI; print(MPI.Get_library_version().split(',')[0])"
    library = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    if library.returncode:
        raise RuntimeError(f"mpi4py {version} without an MPI library")
    return f"{version}, {library.stdout.strip()}"


def _compiler() -> str:
    path = shutil.which("g++") or shutil.which("clang++") or shutil.which("c++")
    if path is None:
        raise ImportError
    return subprocess.run(
        [path, "--version"], capture_output=True, text=True, timeout=10
    ).stdout.splitlines()[0]


def _corpus_extension() -> str:
    from taixue.data_tools import native

    return _built(native.loaded())


def _masking_extension() -> str:
    from taixue.pretrain.objectives.native import masking

    return _built(masking.loaded())


def _built(loaded: object) -> str:
    """Raises where plain Python does the work of an extension."""
    if os.environ.get("TAIXUE_NATIVE") == "off":
        raise RuntimeError("TAIXUE_NATIVE=off")
    if loaded is None:
        raise ImportError
    return "built"


def _memory() -> str:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return f"{total / GIB:.1f} GiB"


def _disk() -> str:
    return f"{shutil.disk_usage(Path.cwd()).free / GIB:.0f} GiB free in {Path.cwd()}"


def _extra(name: str) -> str:
    return f"pip install 'taixue-pretrain[{name}]'"


PROBES = (
    Probe("python", "", "", platform.python_version),
    Probe("torch", "training", "pip install 'torch>=2.11'", _torch, required=True),
    Probe("GPU", "bf16 training at speed; without one the CPU trains small models", "", _gpu),
    Probe("gloo", "ranks on CPUs", "another build of torch", _backend("gloo"), required=True),
    Probe("nccl", "ranks on GPUs", "a CUDA build of torch", _backend("nccl")),
    Probe("triton", "fused kernels on a GPU", "comes with CUDA builds of torch", _package("triton")),
    Probe(
        "transformers", "export, import", "pip install transformers", _package("transformers"), required=True
    ),
    Probe(
        "sentencepiece",
        "tokenizers",
        "pip install 'sentencepiece>=0.2.3'",
        _package("sentencepiece"),
        required=True,
    ),
    Probe("jieba", "words and parts of speech beside a corpus", _extra("annotate"), _package("jieba")),
    Probe("pyarrow", "reading parquet and arrow files", _extra("hub"), _package("pyarrow")),
    Probe("datasets", "reading Hugging Face datasets", _extra("hub"), _package("datasets")),
    Probe("resiliparse", "text of HTML pages", _extra("web"), _package("resiliparse")),
    Probe("brotli", "pages packed with brotli", _extra("web"), _package("brotli")),
    Probe("opencc", "traditional to simplified characters", _extra("opencc"), _package("opencc")),
    Probe("tensorboard", "curves", _extra("tensorboard"), _package("tensorboard")),
    Probe("wandb", "curves", _extra("wandb"), _package("wandb")),
    Probe("apex", "NVIDIA's fused kernels, when built from source", "never needed", _apex),
    Probe("nvcc", "gradient norms in one CUDA kernel", "never needed", _nvcc),
    Probe("deepspeed", "ZeRO offload", _extra("deepspeed"), _package("deepspeed")),
    Probe(
        "megatron-core", "the shard format's oracle in tests", _extra("megatron"), _package("megatron-core")
    ),
    Probe("mpi4py", "ranks started by mpirun", _extra("mpi"), _mpi),
    Probe(
        "C++ of data_tools",
        "corpus work at speed",
        "plain Python does it, 10 to 200 times slower; install taixue again where a C++17 compiler is",
        _corpus_extension,
    ),
    Probe(
        "C++ of objectives",
        "masking at speed",
        "plain Python does it, 10 to 200 times slower; install taixue again where a C++17 compiler is",
        _masking_extension,
    ),
    Probe("compiler", "torch.compile on CPU", "apt-get install g++", _compiler),
    Probe("cores", "", "", lambda: f"{len(os.sched_getaffinity(0))} of {os.cpu_count()}"),
    Probe("memory", "", "", _memory),
    Probe("disk", "", "", _disk),
)
