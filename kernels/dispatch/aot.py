"""Kernels compiled ahead of time, for GPUs that are not there: what each needs of a multiprocessor.

Triton's own compiler, assembler and disassembler do this on any Linux machine, but not in a process whose triton
interprets. A package with kernels has a module `cases` whose `cases(capability)` lists them as the op launches them.
"""

import re
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from taixue.base import UserError

PACKAGES = ("attention", "norm", "gated_ffn", "dropout", "loss", "optim")

ARCHITECTURES = (80, 90)

SHARED_LIMIT = {80: 163 * 1024, 90: 227 * 1024}
"""Bytes of shared memory that one block can have."""


@dataclass(frozen=True)
class Case:
    """One kernel as one launch specialises it."""

    name: str
    kernel: Any
    types: dict[str, str]
    """Of run-time arguments: *bf16, i32, fp32, ..."""

    constants: dict[str, Any]
    """constexpr arguments, and None for pointers that are not given."""

    divisible: tuple[str, ...]
    """Integers that are multiples of 16; pointers always are."""

    warps: int
    stages: int
    stack_limit: int = 0
    """Bytes of registers that may be kept in memory."""

    hopper_products: bool = False
    """Whether there must be HGMMA instructions, and no HMMA, for sm_90."""


@dataclass(frozen=True)
class Usage:
    """What one compiled kernel needs, per thread and per block, and which tensor-core instructions it has."""

    name: str
    architecture: int
    warps: int
    registers: int
    stack: int
    local_accesses: int
    shared: int
    hgmma: int
    hmma: int
    loops: tuple[tuple[int, int], ...]
    """(asynchronous copies, loads that wait) in each loop."""

    stack_limit: int
    hopper_products: bool

    @property
    def fault(self) -> str:
        """Why this would be slow or fail to start; "" when it is as it should be."""
        if self.shared > SHARED_LIMIT[self.architecture]:
            return f"shared memory {self.shared} of {SHARED_LIMIT[self.architecture]}"
        if self.stack > self.stack_limit:
            return f"{self.stack} bytes of registers in memory, {self.local_accesses} accesses"
        if self.hopper_products and self.architecture >= 90 and (self.hmma or not self.hgmma):
            return f"{self.hgmma} of Hopper's matrix products, {self.hmma} of the old ones"
        return ""


def measure(architecture: int, only: Sequence[str] = ("",)) -> Iterator[Usage]:
    """Compile every case that has one of `only` in its name for sm_<architecture>."""
    try:
        import triton.language as tl
        from triton.runtime.interpreter import InterpretedFunction
    except ImportError:
        raise UserError("compiling kernels needs triton: pip install triton") from None
    if isinstance(tl.sum, InterpretedFunction):
        raise UserError(
            "triton interprets in this process: unset TRITON_INTERPRET and TAIXUE_KERNELS to compile"
        )
    for package in PACKAGES:
        for case in import_module(f"taixue.kernels.{package}.cases").cases(divmod(architecture, 10)):
            if any(part in case.name for part in only):
                yield _compile(case, architecture)


def _compile(case: Case, architecture: int) -> Usage:
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    names = case.kernel.arg_names
    unknown = set(names) ^ {*case.types, *case.constants}
    assert not unknown, f"{case.name}: arguments {unknown}"
    signature = {name: case.types.get(name, "constexpr") for name in names}
    aligned = [n for n in names if case.types.get(n, "").startswith("*") or n in case.divisible]
    source = ASTSource(
        fn=case.kernel,
        signature=signature,
        constexprs={(names.index(name),): value for name, value in case.constants.items()},
        attrs={(names.index(name),): [["tt.divisibility", 16]] for name in aligned if name in case.types},
    )
    target = GPUTarget("cuda", architecture, 32)
    compiled = triton.compile(
        source, target=target, options={"num_warps": case.warps, "num_stages": case.stages}
    )
    tools = Path(triton.__file__).parent / "backends/nvidia/bin"
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(compiled.asm["cubin"])
        file.flush()
        usage = _run(tools / "cuobjdump", "-res-usage", file.name)
        code = _run(tools / "nvdisasm", "-c", file.name)
    found = re.search(r"REG:(\d+) STACK:(\d+)", usage)
    assert found, usage
    return Usage(
        name=case.name,
        architecture=architecture,
        warps=case.warps,
        registers=int(found[1]),
        stack=int(found[2]),
        local_accesses=len(re.findall(r"\b(?:LDL|STL)\b", code)),
        shared=compiled.metadata.shared,
        hgmma=len(re.findall(r"\bHGMMA\b", code)),
        hmma=len(re.findall(r"\bHMMA\b", code)),
        loops=_loads(compiled.asm["ttgir"]),
        stack_limit=case.stack_limit,
        hopper_products=case.hopper_products,
    )


def _loads(ttgir: str) -> tuple[tuple[int, int], ...]:
    """(asynchronous copies, other loads) of each loop, without those of loops inside it."""
    loops: list[list[int]] = []
    around: list[tuple[int, list[int]]] = []  # (depth of braces, counts) of the loops that are open
    depth = 0
    for line in ttgir.splitlines():
        if around and "ttg.async_copy_global_to_local" in line:
            around[-1][1][0] += 1
        elif around and re.search(r"= tt\.(?:descriptor_)?load\b", line):
            around[-1][1][1] += 1
        if re.search(r"\bscf\.for\b", line):
            loops.append([0, 0])
            around.append((depth, loops[-1]))
        depth += line.count("{") - line.count("}")
        while around and depth <= around[-1][0]:
            around.pop()
    return tuple((copies, waiting) for copies, waiting in loops)


def _run(*command: str | Path) -> str:
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, check=True).stdout
