"""Commands that measure speed of computation. See cli.py."""

import argparse
from pathlib import Path

from taixue.base import UserError

from .arguments import configured, split


def kernels(words: list[str]) -> int:
    parser = argparse.ArgumentParser(
        "taixue bench kernels",
        description="Time, bandwidth and share of the roofline of every fused op, beside other ways to compute it.",
    )
    _add_common(parser, minutes=8.0)
    parser.add_argument(
        "--ops", metavar="OP", nargs="+", default=(), help="measure these only, by their names in the table"
    )
    options = parser.parse_args(words)
    _check(options)
    from taixue.pretrain.bench.kernels import bench_kernels

    bench_kernels(options.out, minutes=options.minutes, dry_run=options.dry_run, ops=options.ops)
    return 0


def train(words: list[str]) -> int:
    parser = argparse.ArgumentParser(
        "taixue bench train",
        description="Tokens per second, MFU and memory of full T5 training steps, ours beside Hugging Face's.",
    )
    _add_common(parser, minutes=9.0)
    parser.add_argument(
        "--rivals", metavar="NAME", nargs="+", help="run these only, by their names in the table"
    )
    parser.add_argument("--nanot5", metavar="FILE", default="", help="nanoT5's t5_model.py, to run it too")
    options = parser.parse_args(words)
    _check(options)
    from taixue.pretrain.bench.rivals import RIVALS
    from taixue.pretrain.bench.training import bench_train

    if unknown := sorted(set(options.rivals or ()) - RIVALS.keys()):
        raise UserError(f"--rivals: {', '.join(unknown)}; legal: {', '.join(RIVALS)}")
    bench_train(
        options.out,
        minutes=options.minutes,
        dry_run=options.dry_run,
        rivals=options.rivals or tuple(RIVALS),
        nanot5=options.nanot5,
    )
    return 0


def head(words: list[str]) -> int:
    from taixue.pretrain.config.schema import RunConfig

    options, rest = split(
        words,
        "bench head",
        lambda parser: parser.add_argument(
            "--rounds", metavar="N", type=int, default=5, help="timed steps of each head (default: 5)"
        ),
    )
    run = configured(RunConfig, "bench head", rest)
    if run is not None:
        from taixue.pretrain.bench.lm_head import bench_head

        print(bench_head(run, options.rounds))
    return 0


def host(words: list[str]) -> int:
    parser = argparse.ArgumentParser(
        "taixue bench host",
        description="Is a step bound by the host? CPU time, launches, waits; kernels do nothing.",
    )
    parser.add_argument(
        "--layers", metavar="N", type=int, default=24, help="of the encoder and of the decoder (default: 24)"
    )
    parser.add_argument(
        "--repeat", metavar="N", type=int, default=7, help="timings of which the median counts"
    )
    parser.add_argument(
        "--eager", action="store_true", help="without torch.compile, which takes minutes on a CPU"
    )
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the figures to this file, too")
    options = parser.parse_args(words)
    for name in ("layers", "repeat"):
        if getattr(options, name) < 1:
            raise UserError(f"--{name} {getattr(options, name)}; at least 1 is needed")
    from taixue.pretrain.bench.host import WAYS, bench_host

    ways = [way for way, (_, compiled) in WAYS.items() if not (compiled and options.eager)]
    bench_host(layers=options.layers, repeat=options.repeat, ways=ways, json=options.json)
    return 0


def gpu(words: list[str]) -> int:
    """Exit status 1 when a step failed or was left out."""
    parser = argparse.ArgumentParser(
        "taixue bench gpu",
        description="The acceptance run: all that only a GPU can tell, each step in a process of its own.",
    )
    _add_common(parser, minutes=8.0)
    parser.add_argument(
        "--only", metavar="STEP", nargs="+", default=(), help="run these only, by their names"
    )
    parser.add_argument(
        "--demo",
        metavar="DIR",
        type=Path,
        default=Path("runs/demo"),
        help="where the demo's tokenizer and corpus are; made there when they are not (default: runs/demo)",
    )
    parser.add_argument("--page", metavar="FILE", type=Path, help="put the results into this page, too")
    parser.add_argument("--list", action="store_true", help="print the steps and what they assert")
    options = parser.parse_args(words)
    from taixue.pretrain.bench.gpu.acceptance import bench_gpu, listed
    from taixue.pretrain.bench.gpu.plan import STEPS

    if options.list:
        print(listed())
        return 0
    _check(options)
    if unknown := sorted(set(options.only) - {step.name for step in STEPS}):
        raise UserError(f"--only: {', '.join(unknown)}; legal: {'; '.join(step.name for step in STEPS)}")
    passed = bench_gpu(
        options.out,
        minutes=options.minutes,
        dry_run=options.dry_run,
        only=options.only,
        demo=options.demo,
        page=options.page,
    )
    return 0 if passed else 1


def _add_common(parser: argparse.ArgumentParser, minutes: float) -> None:
    parser.add_argument(
        "--out", metavar="DIR", type=Path, default=Path("runs/bench"), help="folder of the JSON and SVG files"
    )
    parser.add_argument(
        "--minutes",
        metavar="N",
        type=float,
        default=minutes,
        help=f"time to stay within (default: {minutes:g})",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="tiny shapes on the CPU: does everything work?"
    )


def _check(options: argparse.Namespace) -> None:
    if options.minutes <= 0:
        raise UserError(f"--minutes {options.minutes:g}; more than 0 is needed")
    if options.dry_run:
        return
    import torch

    if not torch.cuda.is_available():
        raise UserError("no CUDA device here: --dry-run tries the same on the CPU")
