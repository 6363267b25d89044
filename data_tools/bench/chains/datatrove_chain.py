"""datatrove: reader, Gopher and C4 rules set for Chinese, MinHash in its four stages, tokens in Megatron's format."""

import json
import sys
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.dedup import (
    MinhashConfig,
    MinhashDedupBuckets,
    MinhashDedupCluster,
    MinhashDedupFilter,
    MinhashDedupSignature,
)
from datatrove.pipeline.filters import C4QualityFilter, GopherQualityFilter, GopherRepetitionFilter
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.tokens.megatron_tokenizer import MegatronDocumentTokenizer
from datatrove.pipeline.writers import JsonlWriter
from datatrove.utils.typeshelper import Languages
from datatrove.utils.word_tokenizers import load_word_tokenizer

_ZH = Languages.mandarin_chinese
_STOP_WORDS = ["的", "是", "在", "了", "和", "不", "有", "我", "他", "这"]


def main(file: str, folder: str, tokenizer: str, text_field: str) -> None:
    """One task, no worker processes."""
    source, work = Path(file), Path(folder)
    config = MinhashConfig()
    filtered, signatures, buckets, clusters = (
        str(work / name) for name in ("filtered", "sig", "bucket", "cluster")
    )
    seconds: dict[str, float] = {}

    def run(name: str, steps: list[Any], tasks: int = 1) -> None:
        begin = time.process_time()
        LocalPipelineExecutor(steps, tasks=tasks, workers=1, logging_dir=str(work / "logs" / name)).run()
        seconds[name] = time.process_time() - begin
        load_word_tokenizer.cache_clear()  # an executor copies its steps, which it cannot when spaCy is loaded in one

    names = work / "inputs.txt"
    names.write_text(f"{source.name}\n", "utf-8")
    read = JsonlReader(str(source.parent), str(names), text_key=text_field)
    rules = [
        GopherRepetitionFilter(language=_ZH),
        # Its limits are for English words; Chinese ones are shorter, and these are frequent.
        GopherQualityFilter(min_avg_word_length=1, stop_words=_STOP_WORDS, language=_ZH),
        C4QualityFilter(
            filter_no_terminal_punct=False, min_words_per_line=-1, min_num_sentences=1, language=_ZH
        ),
    ]
    run("filters", [read, *rules, JsonlWriter(filtered, compression=None)])
    again = JsonlReader(filtered)
    run("MinHash signatures", [again, MinhashDedupSignature(signatures, config, language=_ZH)])
    run("MinHash buckets", [MinhashDedupBuckets(signatures, buckets, config=config)], config.num_buckets)
    run("MinHash clusters", [MinhashDedupCluster(buckets, clusters, config=config)])
    encoder = MegatronDocumentTokenizer(
        str(work / "tokens"),
        tokenizer_name_or_path=f"{tokenizer}/tokenizer.json",
        eos_token=None,
        batch_size=1000,
    )
    run("last filter, tokens", [JsonlReader(filtered), MinhashDedupFilter(clusters), encoder])
    kept = sum((path.stat().st_size - 42) // 20 for path in (work / "tokens").glob("*.idx"))
    told = {"version": version("datatrove"), "documents": _lines([source]), "kept": kept, "stages": seconds}
    print("\n" + json.dumps(told))


def _lines(paths: list[Path]) -> int:
    def each() -> Iterator[int]:
        for path in paths:
            with path.open("rb") as stream:
                yield sum(1 for _ in stream)

    return sum(each())


if __name__ == "__main__":
    main(*sys.argv[1:])
