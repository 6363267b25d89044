"""The `taixue` command. Nothing heavy is imported before the command that needs it: help and mistakes answer at once.

A command that runs a configuration takes CONFIG (a YAML file or the name of a preset) and any number of overrides
`--section.key VALUE`; `taixue COMMAND --help` lists them with their types.
"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from taixue import UserError, __version__

from .commands import bench as bench_commands
from .commands import kernels as kernel_commands
from .commands import knowledge as knowledge_commands
from .commands import text as text_commands

if TYPE_CHECKING:
    from pydantic import BaseModel

    Config = TypeVar("Config", bound=BaseModel)


@dataclass(frozen=True)
class Command:
    """One line of `taixue --help`: what follows the name, what it does, and the function that does it."""

    arguments: str
    summary: str
    run: Callable[[list[str]], int]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit status: 0 done, 2 the user's mistake, 130 interrupted, 141 output closed."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return _dispatch(words)
    except UserError as error:
        _complain(str(error))
        return 2
    except KeyboardInterrupt:
        _complain("interrupted")
        return 130
    except BrokenPipeError:  # `taixue ... | head`: nobody reads on, and the interpreter must not try to flush
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


def _dispatch(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help", "help"):
        _overview()
        return 0
    if words[0] in ("-V", "--version"):
        print(f"taixue {__version__}")
        return 0
    for length in (2, 1):
        command = COMMANDS.get(" ".join(words[:length]))
        if command is not None:
            return command.run(words[length:])
    group = [name for name in COMMANDS if name.split()[0] == words[0]]
    if group:
        raise UserError(f"taixue {words[0]} is followed by {' or '.join(name.split()[1] for name in group)}")
    raise UserError(f"no command {words[0]!r}{_nearest(words[0])}; `taixue --help` lists them")


def _nearest(word: str) -> str:
    from difflib import get_close_matches

    close = get_close_matches(word, [name.split()[0] for name in COMMANDS], n=1)
    return f", did you mean {close[0]}?" if close else ""


def _overview() -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console(highlight=False)
    console.print(f"[bold]taixue {__version__}[/] 太学: pretraining of T5- and BERT-style language models\n")
    table = Table(box=None, show_header=False, padding=(0, 1, 0, 1))
    for name, command in COMMANDS.items():
        table.add_row(f"[bold]{name}[/]", escape(command.arguments), command.summary)
    console.print(table)
    console.print("\nCONFIG is a YAML file or a preset such as run/t5-tiny-demo.")
    console.print("`taixue COMMAND --help` lists what can be set; every key is a flag: --parallel.tp 2")


def _complain(message: str) -> None:
    from rich.console import Console

    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print("taixue:", style="bold red", end=" ")
    console.print(message, style="red", markup=False)


# Commands


def _configured(cls: "type[Config]", command: str, words: list[str], example: str = "") -> "Config | None":
    """CONFIG and overrides to a `cls`; None when help was asked for, and given.

    example: preset whose values stand for the defaults in the help of a class that has none of its own.
    """
    from taixue.base.load import load, show_help

    wants_help = bool({"-h", "--help"} & set(words))
    rest = [word for word in words if word not in ("-h", "--help")]
    if rest and not rest[0].startswith("--"):
        config = load(cls, rest[0], rest[1:])
        if not wants_help:
            return config
        show_help(cls, f"taixue {command} {rest[0]}", config)
        return None
    if wants_help:
        show_help(cls, f"taixue {command} CONFIG", load(cls, example) if example else None)
        return None
    raise UserError(
        f"taixue {command} needs a CONFIG: a YAML file or a preset; see `taixue {command} --help`"
    )


def _train_tokenizer(words: list[str]) -> int:
    from taixue.data_tools.config import TokenizerTrainConfig

    config = _configured(TokenizerTrainConfig, "tokenizer train", words)
    if config is not None:
        from taixue.data_tools.tokenizer.store import train

        train(config)
    return 0


def _build_corpus(words: list[str]) -> int:
    from taixue.data_tools.config import CorpusBuildConfig

    config = _configured(CorpusBuildConfig, "corpus build", words, example="corpus/demo")
    if config is not None:
        from taixue.data_tools.build.builder import build

        from .place import corpus_place, workers_per_rank

        rank, world, local = corpus_place()
        if not config.workers:
            config = config.model_copy(update={"workers": workers_per_rank(local)})
        build(config, rank, world)
    return 0


def _preview(words: list[str]) -> int:
    from taixue.pretrain.config.schema import RunConfig

    options, rest = _split(
        words,
        "data preview",
        lambda parser: parser.add_argument(
            "--samples", metavar="N", type=int, default=3, help="how many to show"
        ),
    )
    run = _configured(RunConfig, "data preview", rest)
    if run is not None:
        from taixue.pretrain.data.preview import preview

        preview(run, options.samples)
    return 0


def _masks(words: list[str]) -> int:
    from taixue.pretrain.config.schema import RunConfig

    def add(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--samples", metavar="N", type=int, default=3, help="how many to show")
        parser.add_argument("--windows", metavar="N", type=int, default=2000, help="how many are counted")
        parser.add_argument("--out", metavar="DIR", type=Path, help="where masks.html and masks.json go")

    options, rest = _split(words, "masks", add)
    run = _configured(RunConfig, "masks", rest)
    if run is not None:
        from taixue.pretrain.masks import report_masks

        print(report_masks(run, options.samples, options.windows, options.out))
    return 0


def _train(words: list[str]) -> int:
    from taixue.pretrain.config.schema import RunConfig

    run = _configured(RunConfig, "train", words)
    if run is None:
        return 0
    from taixue.data_tools.tokenizer.store import load_tokenizer
    from taixue.parallel.ranks import from_environment
    from taixue.pretrain.config.validate import run_folder, validate

    from . import local

    if not run.data.tokenizer:
        raise UserError("data.tokenizer: names no folder; `taixue tokenizer train` makes one")
    if not run.data.sources:
        raise UserError("data.sources: names no corpus; `taixue corpus build` makes one")
    tokenizer = load_tokenizer(run.data.tokenizer)
    ranks = from_environment()
    world = ranks.world if ranks else local.world_size(run.parallel, run.compute.device)
    validate(run, world, tokenizer.vocab_size)
    if ranks or world == 1:
        from taixue.pretrain.train import main as train

        train(run)
        return 0
    from taixue.pretrain.data import open_data
    from taixue.pretrain.objectives import build_objective

    open_data(
        run, tokenizer, build_objective(run.objective, tokenizer)
    )  # refuses bad shards before ranks start
    return local.start(["-m", "taixue.pretrain.train", *words], world, run_folder(run))


def _verify(words: list[str]) -> int:
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

    options, rest = _split(words, "verify", add)
    run = _configured(RunConfig, "verify", rest)
    if run is None:
        return 0
    if options.kernels == "interpret":
        os.environ["TRITON_INTERPRET"] = "1"  # for this process and its ranks, before they import triton
    from taixue.pretrain.verify.comparison import verify

    return 0 if verify(run, options.layouts, options.kernels) else 1


def _ablate(words: list[str]) -> int:
    from taixue.pretrain.config.schema import RunConfig

    def add(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--seeds", metavar="N", type=int, default=3, help="runs of each kind")
        parser.add_argument("--cases", metavar="N", type=int, default=300, help="of each probe")
        parser.add_argument("--chid", metavar="DIR", default="", help="FewCLUE's chid: idioms in context")
        parser.add_argument("--out", metavar="DIR", type=Path, help="where the page and the JSON go")

    options, rest = _split(words, "ablate", add)
    run = _configured(RunConfig, "ablate", rest)
    if run is not None:
        from taixue.pretrain.ablate import ablate

        ablate(run, **vars(options))
    return 0


def _export(words: list[str]) -> int:
    parser = argparse.ArgumentParser("taixue export", description=COMMANDS["export"].summary)
    parser.add_argument("source", metavar="RUN_OR_CHECKPOINT", type=Path)
    parser.add_argument("out", metavar="OUT", type=Path, help="folder to write")
    parser.add_argument("--dtype", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--overwrite", action="store_true", help="replace OUT when it exists")
    parser.add_argument(
        "--tokenizer", type=Path, help="where the tokenizer is now, if it moved since the run"
    )
    options = vars(parser.parse_args(words))
    from taixue.pretrain.export import to_hf

    difference = to_hf(**options)
    print(
        f"{options['out']}: loaded by transformers, its logits differ from ours by at most {difference:.1e}"
    )
    return 0


def _import(words: list[str]) -> int:
    parser = argparse.ArgumentParser("taixue import", description=COMMANDS["import"].summary)
    parser.add_argument("folder", metavar="HF_FOLDER", type=Path)
    parser.add_argument("out", metavar="OUT", type=Path, help="folder to write: a preset and the tokenizer")
    options = parser.parse_args(words)
    from taixue.pretrain.export import import_hf

    import_hf(options.folder, options.out)
    return 0


def _doctor(words: list[str]) -> int:
    argparse.ArgumentParser("taixue doctor", description=COMMANDS["doctor"].summary).parse_args(words)
    from .doctor import report

    return 0 if report() else 1


def _split(
    words: list[str], command: str, add: Callable[[argparse.ArgumentParser], object]
) -> tuple[argparse.Namespace, list[str]]:
    """Take a command's own options out of the words; the rest is CONFIG and overrides. Help on them comes first."""
    parser = argparse.ArgumentParser(f"taixue {command}", add_help=False, allow_abbrev=False)
    add(parser.add_argument_group(f"options of {command}"))  # type: ignore[arg-type]  # it adds like a parser
    if {"-h", "--help"} & set(words):
        print(parser.format_help().split("\n\n", 1)[1])
    return parser.parse_known_args(words)


COMMANDS = {
    "tokenizer train": Command("CONFIG", "learn a vocabulary from text", _train_tokenizer),
    "tokenizer extend": Command("FOLDER OUT", "add words to a vocabulary", text_commands.extend_tokenizer),
    "tokenizer trim": Command("FOLDER OUT", "drop pieces a text does not use", text_commands.trim_tokenizer),
    "corpus build": Command("CONFIG", "turn text into token shards", _build_corpus),
    "corpus report": Command("CORPUS", "what a corpus holds, as a page", text_commands.report_corpus),
    "knowledge transe": Command(
        "TRIPLES OUT", "learn vectors of a knowledge graph", knowledge_commands.transe
    ),
    "data preview": Command("CONFIG", "samples as the model sees them", _preview),
    "masks": Command("CONFIG", "what a run will mask, as a page", _masks),
    "train": Command("CONFIG", "pretrain; alone it starts its ranks", _train),
    "verify": Command("CONFIG", "compare layouts with one process", _verify),
    "ablate": Command("CONFIG", "do knowledge masks help? measured", _ablate),
    "export": Command("RUN OUT", "to a verified Hugging Face folder", _export),
    "import": Command("FOLDER OUT", "from Hugging Face, to train on", _import),
    "bench corpus": Command("", "speed of corpus work, beside others", text_commands.bench_corpus),
    "bench masking": Command(
        "TOKENIZER CORPUS", "speed of masking, beside others", text_commands.bench_masking
    ),
    "bench kernels": Command("", "speed of the fused ops on this GPU", bench_commands.kernels),
    "bench train": Command("", "training steps, beside Hugging Face", bench_commands.train),
    "kernels": Command("", "compile the GPU kernels, here", kernel_commands.kernels),
    "doctor": Command("", "what is here, what is missing", _doctor),
}


if __name__ == "__main__":
    sys.exit(main())
