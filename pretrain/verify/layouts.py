"""Names of layouts, as `taixue verify` takes and prints them: tp2xpp2xdp2, hsdp2x2, tp2xpp2:v:nosp."""

import re
from dataclasses import replace

from taixue.base import UserError
from taixue.parallel.mesh import Layout
from taixue.parallel.stages import SCHEDULES


def parse_layout(name: str) -> list[Layout]:
    """Layouts meant by a name: parts tpN, ppN, dpN or hsdpRxS joined by x, then optional :schedule, :sp or :nosp."""
    axes, *options = name.split(":")
    pattern = r"(?:(?:tp\d+|pp\d+|dp\d+|hsdp\d+x\d+)(?:x|$))+"
    schedules = [option for option in options if option in SCHEDULES]
    sequence = [option == "sp" for option in options if option in ("sp", "nosp")]
    if (
        not re.fullmatch(pattern, axes)
        or axes.endswith("x")
        or len(schedules) + len(sequence) != len(options)
    ):
        raise UserError(
            f"layout {name!r} is not understood: join tpN, ppN, dpN or hsdpRxS by x, then add :1f1b, :interleaved, "
            f":v, :sp or :nosp, for example tp2xpp2:v:sp or hsdp2x2"
        )
    size, (replicate, shard) = dict[str, int](), (1, 0)
    for part in re.finditer(r"hsdp(\d+)x(\d+)|(tp|pp|dp)(\d+)", axes):
        if part[1]:
            replicate, shard = int(part[1]), int(part[2])
        else:
            size[part[3]] = int(part[4])
    base = Layout(
        pp=size.get("pp", 1),
        dp_replicate=replicate,
        dp_shard=shard or size.get("dp", 1),
        tp=size.get("tp", 1),
    )
    return [
        replace(base, schedule=schedule, sequence_parallel=sharded)
        for schedule in (schedules or SCHEDULES if base.pp > 1 else ("auto",))
        for sharded in (sequence or (True, False) if base.tp > 1 else (False,))
    ]


def describe(layout: Layout) -> str:
    """The name of one layout, as parse_layout reads it."""
    sizes, options = [], []
    if layout.tp > 1:
        sizes.append(f"tp{layout.tp}")
    if layout.pp > 1:
        sizes.append(f"pp{layout.pp}")
        options.append(layout.schedule)
    if layout.dp_replicate > 1:
        sizes.append(f"hsdp{layout.dp_replicate}x{layout.dp_shard}")
    elif layout.dp_shard > 1 or not sizes:
        sizes.append(f"dp{layout.dp_shard}")
    if layout.tp > 1:
        options.append("sp" if layout.sequence_parallel else "nosp")
    return ":".join(["x".join(sizes), *options])
