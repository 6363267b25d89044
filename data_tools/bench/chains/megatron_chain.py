"""What Megatron-LM's preprocess_data does, with what megatron-core has: JSON lines to .bin and .idx."""

import json
import sys
import time
from pathlib import Path

import megatron.core
from megatron.core.datasets.indexed_dataset import DType, IndexedDatasetBuilder
from megatron.core.tokenizers.text.libraries.sentencepiece_tokenizer import SentencePieceTokenizer


def main(file: str, folder: str, tokenizer: str, text_field: str) -> None:
    """One document after another, each with its end-of-document token."""
    begin, documents = time.process_time(), 0
    encoder = SentencePieceTokenizer(f"{tokenizer}/spiece.model")
    prefix = Path(folder) / "tokens"
    builder = IndexedDatasetBuilder(f"{prefix}.bin", dtype=DType.optimal_dtype(encoder.vocab_size))
    end = encoder.tokenizer.eos_id()
    with open(file, "rb") as lines:
        for line in lines:
            ids = encoder.text_to_ids(json.loads(line)[text_field])
            ids.append(end)
            builder.add_document(ids, [len(ids)])
            documents += 1
    builder.finalize(f"{prefix}.idx")
    told = {"version": f"core {megatron.core.__version__}", "documents": documents, "kept": documents}
    print(json.dumps(told | {"stages": {"all": time.process_time() - begin}}))


if __name__ == "__main__":
    main(*sys.argv[1:])
