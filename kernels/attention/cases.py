"""The attention kernels as T5 and BERT launch them, to be compiled ahead of time."""

from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

from ..dispatch.aot import Case

_FLOATS = {"Q", "K", "V", "OUT", "DOUT", "DQ", "DK", "DV", "GROUP_SCALE"}
_SINGLES = {"LSE", "DELTA", "LINE", "FAR_SUMS", "GROUP_SUMS", "TILES", "DLINE"}
_IDS = {"QUERY_SEGMENTS", "KEY_SEGMENTS", "KEY_RANGE", "QUERY_RANGE", "GROUP_IDS"}
_STRIDES = tuple(f"{x}_{axis}" for x in "qkv" for axis in ("batch", "head", "row"))

KINDS: dict[str, dict[str, bool]] = {
    "T5 encoder": {"line": True},
    "T5 decoder": {"line": True, "causal": True, "ragged": True},
    "cross, BERT": {"mask": True},
    "packed": {"line": True, "segments": True},
    "BERT, dropout": {"mask": True, "dropout": True},
    "T5, dropout": {"line": True, "dropout": True},
    "grouped": {"line": True, "mask": True, "segments": True, "groups": True},
    "all options": {"line": True, "mask": True, "segments": True, "groups": True, "dropout": True},
}
"""Options by kind of call. ragged: lengths that are no multiples of the tiles."""

_OPTIONAL_STACK = 128
"""Bytes that dropout and groups may keep in memory; without them nothing may."""

_SPILLS = {"3.6": 16}
"""Release of triton -> bytes that it keeps in memory in dK and dV on sm_80 (9 accesses)."""


def cases(capability: tuple[int, int]) -> Iterator[Case]:
    """Every kernel for bf16 at head dims 64 and 128, and for fp32 at 64."""
    for kind, options in KINDS.items():
        yield from _kernels(kind, capability, 64, "bf16", options)
    yield from _kernels("T5 encoder", capability, 128, "bf16", KINDS["T5 encoder"])
    yield from _kernels("cross, BERT", capability, 128, "bf16", KINDS["cross, BERT"])
    yield from _kernels("T5 encoder", capability, 64, "fp32", KINDS["T5 encoder"])


def _kernels(
    kind: str, capability: tuple[int, int], head_dim: int, dtype: str, options: dict[str, bool]
) -> Iterator[Case]:
    from ..dropout.triton import constants as dropout_constants
    from .triton import backward, forward, line
    from .triton.tiles import choose

    groups = 2 if options.get("groups") else 0
    extra = bool(groups or options.get("dropout"))
    tiles = choose(head_dim, 4 if dtype == "fp32" else 2, 512, capability, extra)
    even = not options.get("ragged")
    shared = {
        "D": head_dim,
        "BLOCK_D": head_dim,
        "GROUPS": groups,
        "CAUSAL": options.get("causal", False),
        "PRECISION": "ieee",
        **dropout_constants(0.1 if options.get("dropout") else 0.0),
    }

    def case(name: str, kernel: Any, tile: Any, **constants: Any) -> Case:
        absent = {
            "LINE": not options.get("line"),
            "KEY_MASK": not options.get("mask"),
            "QUERY_SEGMENTS": not options.get("segments"),
            "KEY_SEGMENTS": not options.get("segments"),
            "KEY_RANGE": not options.get("segments") and not options.get("mask"),
            "QUERY_RANGE": not options.get("segments") and not options.get("mask"),
            "GROUP_IDS": not groups,
            "GROUP_SCALE": not groups,
            "STREAM": not options.get("dropout"),
            "SAMPLES": not options.get("dropout"),
        }
        constants["AHEAD"] = tile.ahead
        given = {n: None for n in kernel.arg_names if absent.get(n)}
        given |= {n: value for n, value in {**shared, **constants}.items() if n in kernel.arg_names}
        types = {n: _type(n, dtype) for n in kernel.arg_names if n not in given}
        label = f"{name} {head_dim} {dtype} {tile.m}x{tile.n}: {kind}"
        old = (
            _SPILLS.get(version("triton").rpartition(".")[0], 0)
            if name == "dk, dv" and capability < (9, 0)
            else 0
        )
        spill = _OPTIONAL_STACK if extra else old
        return Case(label, kernel, types, given, _STRIDES, tile.warps, tile.stages, spill, dtype == "bf16")

    tile = tiles.forward
    yield case("forward", forward.forward, tile, BLOCK_M=tile.m, BLOCK_N=tile.n, EVEN=even)
    tile = tiles.queries
    yield case(
        "dq", backward.queries, tile, BLOCK_M=tile.m, BLOCK_N=tile.n, BLOCK_G=max(groups, 1), EVEN=even
    )
    tile = tiles.keys
    yield case("dk, dv", backward.keys, tile, BLOCK_M=tile.m, BLOCK_N=tile.n, EVEN=even)
    if options.get("line"):
        tile = tiles.line
        yield case("dtable", line.tiles, tile, BLOCK=tile.m, STAGES=tile.stages)


def _type(name: str, dtype: str) -> str:
    if name in _FLOATS:
        return f"*{dtype}"
    if name in _SINGLES:
        return "*fp32"
    if name in _IDS:
        return "*i32"
    return {"KEY_MASK": "*u8", "STREAM": "*i64", "SAMPLES": "*i64", "scale": "fp32"}.get(name, "i32")
