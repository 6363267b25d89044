"""data-juicer: the operators of its recipes for Chinese text that need no model, and MinHash on characters."""

import json
import sys
import time
from importlib.metadata import version
from pathlib import Path

from data_juicer.config import init_configs
from data_juicer.core import DefaultExecutor

_PROCESS = [
    {"fix_unicode_mapper": {}},
    {"punctuation_normalization_mapper": {}},
    {"whitespace_normalization_mapper": {}},
    {"text_length_filter": {"min_len": 150}},
    {"character_repetition_filter": {"rep_len": 10, "max_ratio": 0.5}},
    {"special_characters_filter": {"max_ratio": 0.4}},
    {"word_repetition_filter": {"lang": "zh", "rep_len": 10, "max_ratio": 0.5}},
    {
        "document_minhash_deduplicator": {
            "tokenization": "character",
            "window_size": 5,
            "num_permutations": 112,
        }
    },
]


def main(file: str, folder: str, tokenizer: str, text_field: str) -> None:
    """One process; tokenizer is not used."""
    work = Path(folder)
    settings = {
        "project_name": "bench",
        "dataset_path": file,
        "export_path": str(work / "out.jsonl"),
        "work_dir": str(work),
        "text_keys": text_field,
        "np": 1,
        "open_tracer": False,
        "use_cache": False,
        "process": _PROCESS,
    }
    config = work / "recipe.yaml"
    config.write_text(json.dumps(settings), "utf-8")  # JSON is YAML
    begin = time.process_time()
    DefaultExecutor(init_configs(["--config", str(config)])).run()
    seconds = {"all": time.process_time() - begin}
    counts = []
    for path in (Path(file), work / "out.jsonl"):
        with path.open("rb") as stream:
            counts.append(sum(1 for _ in stream))
    told = {
        "version": version("py-data-juicer"),
        "documents": counts[0],
        "kept": counts[1],
        "stages": seconds,
    }
    print("\n" + json.dumps(told))


if __name__ == "__main__":
    main(*sys.argv[1:])
