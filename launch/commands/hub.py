"""Commands between checkpoints and Hugging Face folders. See cli.py."""

import argparse
from pathlib import Path


def export(words: list[str]) -> int:
    parser = argparse.ArgumentParser(
        "taixue export", description="Write a Hugging Face folder that is verified before it appears."
    )
    parser.add_argument("source", metavar="RUN_OR_CHECKPOINT", type=Path)
    parser.add_argument("out", metavar="OUT", type=Path, help="folder to write")
    parser.add_argument(
        "--which",
        metavar="best|last|STEP",
        default="",
        help="which checkpoint of a run (default: the best by held-out loss; the last where nothing was evaluated)",
    )
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


def import_(words: list[str]) -> int:
    parser = argparse.ArgumentParser(
        "taixue import", description="Make a run of a Hugging Face folder, to pretrain its model on."
    )
    parser.add_argument("folder", metavar="HF_FOLDER", type=Path)
    parser.add_argument(
        "out", metavar="OUT", type=Path, help="folder to write: a preset, a run on it, the tokenizer"
    )
    options = parser.parse_args(words)
    from taixue.pretrain.export import import_hf

    import_hf(options.folder, options.out)
    return 0
