"""The `taixue` command. Nothing heavy is imported before the command that needs it: help and mistakes answer at once.

A command that runs a configuration takes CONFIG (a YAML file or the name of a preset) and any number of overrides
`--section.key VALUE`; `taixue COMMAND --help` lists them with their types.
"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing import current_process

from taixue.base import UserError, __version__

from . import local
from .commands import bench, hub, kernels, knowledge, run, text


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


def main_of_script(arguments: Sequence[str] | None) -> int:
    """See taixue.main."""
    if current_process().name != "MainProcess":
        raise RuntimeError('call taixue.main() below `if __name__ == "__main__":`; workers import the script')
    script = sys.modules["__main__"].__file__
    assert script is not None
    local.rank_program = (script, "train")
    return main(arguments)


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


def _doctor(words: list[str]) -> int:
    argparse.ArgumentParser("taixue doctor", description=COMMANDS["doctor"].summary).parse_args(words)
    from .doctor import report

    return 0 if report() else 1


COMMANDS = {
    "tokenizer train": Command("CONFIG", "learn a vocabulary from text", text.train_tokenizer),
    "tokenizer extend": Command("FOLDER OUT", "add words to a vocabulary", text.extend_tokenizer),
    "tokenizer trim": Command("FOLDER OUT", "drop pieces a text does not use", text.trim_tokenizer),
    "corpus build": Command("CONFIG", "turn text into token shards", text.build_corpus),
    "corpus sample": Command("OUT", "write the demo's text, made from facts", text.write_sample),
    "corpus report": Command("CORPUS", "what a corpus holds, as a page", text.report_corpus),
    "knowledge transe": Command("TRIPLES OUT", "learn vectors of a knowledge graph", knowledge.transe),
    "data preview": Command("CONFIG", "samples as the model sees them", run.preview),
    "masks": Command("CONFIG", "what a run will mask, as a page", run.masks),
    "train": Command("CONFIG", "pretrain; alone it starts its ranks", run.train),
    "report": Command("RUN...", "a run as a page; several beside each other", run.report),
    "verify": Command("CONFIG", "compare layouts with one process", run.verify),
    "ablate": Command("CONFIG", "do knowledge masks help? measured", run.ablate),
    "eval": Command("MODEL CORPUS ...", "held-out loss, of ours and Hugging Face's", run.evaluate),
    "export": Command("RUN OUT", "to a verified Hugging Face folder", hub.export),
    "import": Command("FOLDER OUT", "from Hugging Face, to train on", hub.import_),
    "bench corpus": Command("", "speed of corpus work, beside others", text.bench_corpus),
    "bench masking": Command("TOKENIZER CORPUS", "speed of masking, beside others", text.bench_masking),
    "bench kernels": Command("", "speed of the fused ops on this GPU", bench.kernels),
    "bench head": Command("CONFIG", "BERT's head on masked positions, beside all", bench.head),
    "bench train": Command("", "training steps, beside Hugging Face", bench.train),
    "bench host": Command("", "is a step bound by the host? no GPU needed", bench.host),
    "bench gpu": Command("", "the acceptance run on one GPU", bench.gpu),
    "kernels": Command("", "compile the GPU kernels, here", kernels.kernels),
    "doctor": Command("", "what is here, what is missing", _doctor),
}


if __name__ == "__main__":
    sys.exit(main())
