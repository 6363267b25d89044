"""Commands around text: vocabularies, corpora, their reports and speed. See cli.py."""

import argparse
from pathlib import Path

from .arguments import configured, split


def train_tokenizer(words: list[str]) -> int:
    from taixue.data_tools.config import TokenizerTrainConfig

    config = configured(TokenizerTrainConfig, "tokenizer train", words)
    if config is not None:
        from taixue.data_tools.tokenizer.store import train

        train(config)
    return 0


def write_sample(words: list[str]) -> int:
    parser = argparse.ArgumentParser(
        "taixue corpus sample",
        description="Write the text of `make demo`: sentences about facts, essays, lexicons, held-out blanks.",
    )
    parser.add_argument("out", metavar="OUT", type=Path, help="folder to write")
    options = parser.parse_args(words)
    from taixue.data_tools.sample import generate

    print(generate(options.out))
    return 0


def build_corpus(words: list[str]) -> int:
    from taixue.data_tools.config import CorpusBuildConfig

    options, rest = split(
        words,
        "corpus build",
        lambda parser: parser.add_argument(
            "--on",
            choices=("local", "ray"),
            default="local",
            help="where the tasks run: on this machine, or on the Ray cluster that it belongs to (default: local)",
        ),
    )
    config = configured(CorpusBuildConfig, "corpus build", rest, example="corpus/demo")
    if config is not None:
        from taixue.data_tools.build.builder import build

        from ..place import corpus_place, workers_per_rank

        rank, world, local = corpus_place()
        if not config.workers and options.on == "local":
            config = config.model_copy(update={"workers": workers_per_rank(local)})
        build(config, rank, world, options.on)
    return 0


def extend_tokenizer(words: list[str]) -> int:
    parser = argparse.ArgumentParser(
        "taixue tokenizer extend",
        description="Add words to a vocabulary; new rows of the embeddings are means of those that spelled the word.",
    )
    _add_folders(parser)
    parser.add_argument(
        "--words",
        metavar="FILE",
        nargs="+",
        required=True,
        help="one word per line; more after a tab is ignored",
    )
    _add_multiple(parser)
    options = parser.parse_args(words)
    from taixue.data_tools.read.word_list import read_terms
    from taixue.data_tools.tokenizer.change import extend

    listed = [word for path in options.words for word in read_terms(path)]
    change = extend(options.folder, listed, options.out, options.multiple)
    print(f"{options.out}: {len(change.added):,} pieces added, {len(change.skipped):,} words skipped")
    return 0


def trim_tokenizer(words: list[str]) -> int:
    parser = argparse.ArgumentParser(
        "taixue tokenizer trim",
        description="Drop pieces that a text does not use, but no single characters; rows that stay are copied.",
    )
    _add_folders(parser)
    parser.add_argument(
        "--inputs", metavar="PATH", nargs="+", required=True, help="text that shows which pieces are used"
    )
    parser.add_argument(
        "--least", metavar="N", type=_positive, default=1, help="occurrences that keep a piece (default: 1)"
    )
    parser.add_argument(
        "--text-field", metavar="NAME", default="text", help="field of a record (default: text)"
    )
    _add_multiple(parser)
    options = parser.parse_args(words)
    from taixue.data_tools.tokenizer.change import trim

    change = trim(
        options.folder, options.inputs, options.out, options.least, options.text_field, options.multiple
    )
    print(f"{options.out}: {len(change.dropped):,} pieces dropped, {len(change.origin):,} stay")
    return 0


def report_corpus(words: list[str]) -> int:
    parser = argparse.ArgumentParser(
        "taixue corpus report",
        description="What a corpus holds and what became of its inputs, as report.html and report.json.",
    )
    parser.add_argument("corpus", metavar="CORPUS", type=Path, help="folder that `taixue corpus build` wrote")
    parser.add_argument("--out", metavar="DIR", type=Path, help="folder to write (default: CORPUS)")
    parser.add_argument(
        "--tokenizer",
        metavar="FOLDER",
        default="",
        help="measure languages and characters per token with it too",
    )
    options = parser.parse_args(words)
    from taixue.data_tools.report import report

    print(report(options.corpus, options.out, options.tokenizer))
    return 0


def bench_corpus(words: list[str]) -> int:
    from taixue.data_tools.bench.peers import PEERS

    parser = argparse.ArgumentParser(
        "taixue bench corpus",
        description="Speed of corpus work on this machine: every step, whole builds, and what others have for the same "
        "work, on one file in one run. A peer that is not installed is named and left out.",
    )
    parser.add_argument(
        "--inputs",
        metavar="PATH",
        nargs="+",
        default=[],
        help="a .jsonl file to use as it is; or, several or with --megabytes, text to make documents of, by sentence, "
        "with planted copies (default: the sample that comes along)",
    )
    parser.add_argument(
        "--megabytes", metavar="N", type=float, help="size of the documents that are made (default: 8)"
    )
    parser.add_argument(
        "--tokenizer", metavar="FOLDER", type=Path, help="T5 tokenizer (default: a small one of the sample)"
    )
    parser.add_argument(
        "--text-field", metavar="NAME", default="text", help="field of a record (default: text)"
    )
    parser.add_argument(
        "--rounds", metavar="N", type=_positive, default=3, help="turns of each step (default: 3)"
    )
    names = [peer.name for peer in PEERS]
    parser.add_argument(
        "--peers",
        dest="chosen",
        metavar="NAME",
        nargs="*",
        choices=names,
        help=f"some of {', '.join(names)} (default: all)",
    )
    parser.add_argument(
        "--peer-python",
        dest="peer_pythons",
        metavar="PATH",
        action="append",
        default=[],
        help="another interpreter to look for peers in; may be given again",
    )
    parser.add_argument(
        "--folder", metavar="DIR", type=Path, help="keep the file, the corpora and the logs here"
    )
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the results here, too")
    options = vars(parser.parse_args(words))
    from rich.console import Console

    from taixue.data_tools.bench import bench

    console = Console()
    results = bench(**options)
    results.show(console if console.is_terminal else Console(width=200))
    return 0


def bench_masking(words: list[str]) -> int:
    parser = argparse.ArgumentParser(
        "taixue bench masking",
        description="Raw tokens per core-second from shards to batches, beside other collators.",
    )
    parser.add_argument("tokenizer", metavar="TOKENIZER", type=Path, help="folder of the corpus's tokenizer")
    parser.add_argument("corpus", metavar="CORPUS", type=Path, help="folder that `taixue corpus build` wrote")
    parser.add_argument(
        "--length", metavar="N", type=_positive, default=512, help="input length (default: 512)"
    )
    parser.add_argument(
        "--windows", metavar="N", type=_positive, default=2048, help="samples (default: 2048)"
    )
    parser.add_argument("--rounds", metavar="N", type=_positive, default=5, help="turns of each (default: 5)")
    options = vars(parser.parse_args(words))
    from taixue.pretrain.bench.collators import bench

    print(bench(**options))
    return 0


def _add_folders(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "folder", metavar="FOLDER", type=Path, help="T5 or BERT folder, with or without weights"
    )
    parser.add_argument("out", metavar="OUT", type=Path, help="folder to write")


def _add_multiple(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--multiple",
        metavar="N",
        type=_positive,
        default=128,
        help="the embeddings get a multiple of N rows (default: 128)",
    )


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number}; at least 1 is needed")
    return number
