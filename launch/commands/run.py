"""Commands around a run: what it is fed, training, proofs, comparisons. See cli.py."""

import argparse
import os
import signal
from pathlib import Path

from taixue.base import UserError

from .arguments import configured, split


def preview(words: list[str]) -> int:
    from taixue.pretrain.config.schema import RunConfig

    options, rest = split(
        words,
        "data preview",
        lambda parser: parser.add_argument(
            "--samples", metavar="N", type=int, default=3, help="how many to show"
        ),
    )
    run = configured(RunConfig, "data preview", rest)
    if run is not None:
        from taixue.pretrain.data.preview import preview

        preview(run, options.samples)
    return 0


def masks(words: list[str]) -> int:
    from taixue.pretrain.config.schema import RunConfig

    def add(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--samples", metavar="N", type=int, default=3, help="how many to show")
        parser.add_argument("--windows", metavar="N", type=int, default=2000, help="how many are counted")
        parser.add_argument("--out", metavar="DIR", type=Path, help="where masks.html and masks.json go")

    options, rest = split(words, "masks", add)
    run = configured(RunConfig, "masks", rest)
    if run is not None:
        from taixue.pretrain.masks import report_masks

        print(report_masks(run, options.samples, options.windows, options.out))
    return 0


def train(words: list[str]) -> int:
    from taixue.parallel.ranks import from_environment
    from taixue.pretrain.config.schema import RunConfig

    if not {"-h", "--help"} & set(words) and from_environment():
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # no traceback before the run listens
        from taixue.pretrain.train import command

        return command(words)
    run = configured(RunConfig, "train", words)
    if run is None:
        return 0
    from taixue.data_tools.tokenizer.store import load_tokenizer
    from taixue.pretrain.config.validate import run_folder, validate
    from taixue.pretrain.run.contents import CHECKPOINTS

    from .. import local

    if not run.data.tokenizer:
        raise UserError("data.tokenizer: names no folder; `taixue tokenizer train` makes one")
    if not run.data.sources:
        raise UserError("data.sources: names no corpus; `taixue corpus build` makes one")
    tokenizer = load_tokenizer(run.data.tokenizer)
    world = local.world_size(run.parallel, run.compute.device)
    validate(run, world, tokenizer.vocab_size)
    if world == 1:
        os.environ.update(local.allocator_settings())
        from taixue.pretrain.train import attempt

        return attempt(run)
    from taixue.pretrain.checkpoint.compatible import check_newest
    from taixue.pretrain.data import open_data
    from taixue.pretrain.objectives import build_objective

    # Bad shards, and a checkpoint that the run cannot go on from, are found before ranks start.
    data = open_data(run, tokenizer, build_objective(run.objective, tokenizer))
    check_newest(run_folder(run) / CHECKPOINTS, run, data.fingerprint)
    return local.start([*local.rank_program, *words], world, run_folder(run))


def evaluate(words: list[str]) -> int:
    parser = argparse.ArgumentParser(
        "taixue eval",
        description="Held-out loss and perplexity by source, of a run or a Hugging Face folder alike. Under torchrun "
        "the ranks share the work.",
    )
    parser.add_argument(
        "model",
        metavar="MODEL_OR_RUN",
        type=Path,
        help="run folder, checkpoint of one, or Hugging Face folder of a T5 or BERT family",
    )
    parser.add_argument(
        "corpora",
        metavar="CORPUS",
        nargs="*",
        help="folder written by `taixue corpus build` with the model's tokenizer (default: those of the run)",
    )
    parser.add_argument(
        "--which",
        metavar="best|last|STEP",
        default="",
        help="which checkpoint of a run (default: the best by held-out loss; the last where nothing was evaluated)",
    )
    parser.add_argument(
        "--objective",
        metavar="CONFIG_OR_RUN",
        default="",
        help="ask what this configuration or run asks (default: the run's own, or the usual one of the family)",
    )
    parser.add_argument(
        "--tokenizer",
        metavar="FOLDER",
        default="",
        help="where the tokenizer is now, if it moved since the run",
    )
    parser.add_argument(
        "--windows", metavar="N", type=int, default=256, help="held-out windows of a source (default: 256)"
    )
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the result to this file, too")
    options = vars(parser.parse_args(words))
    from taixue.pretrain.perplexity import evaluate

    return 0 if evaluate(options.pop("model"), options.pop("corpora"), **options) else 130


def verify(words: list[str]) -> int:
    from taixue.pretrain.config.schema import RunConfig

    def add(parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "--layouts",
            metavar="L",
            nargs="+",
            help="such as tp2xpp2xdp2, hsdp2x2, pp2:v, tp2:nosp; default: all",
        )
        parser.add_argument(
            "--kernels",
            choices=("reference", "interpret"),
            default="reference",
            help="interpret: the fused kernels in Triton's interpreter, fp32, beside the reference",
        )

    options, rest = split(words, "verify", add)
    run = configured(RunConfig, "verify", rest)
    if run is None:
        return 0
    if options.kernels == "interpret":
        os.environ["TRITON_INTERPRET"] = "1"  # for this process and its ranks, before they import triton
    from taixue.pretrain.verify.comparison import verify

    return 0 if verify(run, options.layouts, options.kernels) else 1


def ablate(words: list[str]) -> int:
    from taixue.pretrain.config.schema import RunConfig

    def add(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--seeds", metavar="N", type=int, default=3, help="runs of each kind")
        parser.add_argument("--cases", metavar="N", type=int, default=300, help="of each probe")
        parser.add_argument("--chid", metavar="DIR", default="", help="FewCLUE's chid: idioms in context")
        parser.add_argument("--out", metavar="DIR", type=Path, help="where the page and the JSON go")

    options, rest = split(words, "ablate", add)
    run = configured(RunConfig, "ablate", rest)
    if run is not None:
        from taixue.pretrain.ablate import ablate

        ablate(run, **vars(options))
    return 0


def report(words: list[str]) -> int:
    parser = argparse.ArgumentParser(
        "taixue report",
        description="Make the page of a run, index.html in its folder (a run does so itself while it goes on); of "
        "several also one page with all of them, and the differences from the first.",
    )
    parser.add_argument(
        "runs", metavar="RUN", nargs="+", type=Path, help="folder of a run, such as runs/t5-tiny"
    )
    parser.add_argument(
        "--out",
        metavar="FILE",
        type=Path,
        help="the page to write (default: as above; comparison.html beside the first)",
    )
    options = parser.parse_args(words)
    from taixue.pretrain.report import report

    for path in report(options.runs, options.out):
        print(path)
    return 0
