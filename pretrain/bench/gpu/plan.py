"""The steps of the acceptance run, the most worthy first: what a machine that goes away early should have told."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .demo_run import demo
from .exactness import operators
from .journal import Bench
from .machine import environment
from .one_rank import runtime
from .speed import OURS, Large, Rival, rooflines

REFERENCE = {"kernels": "reference"}
"""TAIXUE_KERNELS=reference: are the kernels to blame?"""


@dataclass(frozen=True)
class Step:
    """seconds: what it should take on an H100; it is left out when fewer are left. limit: when it is killed.

    asserts: in words. switches: fields of Bench; each is tried, where time allows, after the step failed.
    """

    name: str
    seconds: float
    limit: float
    asserts: str
    run: Callable[[Bench], None]
    switches: tuple[Mapping[str, Any], ...] = ()


STEPS = (
    Step(
        "environment",
        10,
        45,
        "C++ extensions load; nvcc's square_sums within 1e-12 of float64; measured: versions, copy GB/s, bf16 TFLOP/s",
        environment,
    ),
    Step(
        "operators",
        40,
        75,
        "every op of a T5, values and gradients within 2e-2 (bf16) and 1e-5 (fp32) of float64 with what is allocated "
        "filled with NaN; the same bits twice",
        operators,
    ),
    Step(
        "runtime",
        25,
        60,
        "a small T5 with dropout in an NCCL group of one beside float64 on the CPU: losses within 1e-5 (fp32) and 1e-2 "
        "(bf16), gradients within 1e-4 and 3e-2; recompute none, selective, full; compiled",
        runtime,
        (REFERENCE, {"compiled": False}),
    ),
    Step(
        OURS,
        40,
        80,
        "the loop of a real run, 64 samples of 512/114: the loss falls; measured: ms, MFU, GiB, launches, idle share, "
        "40 longest kernels",
        Large(64, compiled=False),
        ({"micro": 32}, REFERENCE),
    ),
    Step(
        "T5-large, micro 64, compiled",
        75,
        120,
        "the same; losses within 1e-2 of the eager ones; nothing compiled again after step 2",
        Large(64, compiled=True),
        ({"micro": 32}, {"compiled": False}),
    ),
    Step("HF sdpa", 25, 60, "losses within 1e-2 of ours", Rival("hf sdpa")),
    Step(
        "demo",
        60,
        120,
        "`taixue train`, SIGTERM, the same command again: losses equal those of a run left alone, bit for bit; "
        "evaluations equal; export verified; transformers loads it",
        demo,
        (REFERENCE,),
    ),
    Step("T5-large, micro 16", 35, 70, "as micro 64; losses within 1e-2 of it", Large(16, compiled=False)),
    Step("HF eager", 30, 60, "losses within 1e-2 of ours", Rival("hf eager")),
    Step("kernels", 45, 75, "ours within 2e-2 of fp32; measured: roofline shares beside rivals", rooflines),
    Step(
        "HF sdpa, compiled blocks", 60, 100, "losses within 1e-2 of ours", Rival("hf sdpa + compiled blocks")
    ),
)
