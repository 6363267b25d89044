"""sentencepiece alone: a .jsonl file to ids in a .bin, in the fewest lines."""

import json
import sys
import time
from pathlib import Path

import sentencepiece


def main(file: str, folder: str, tokenizer: str, text_field: str) -> None:
    """Batches of 1,000 texts to uint16 arrays."""
    begin, documents = time.process_time(), 0
    processor = sentencepiece.SentencePieceProcessor(model_file=f"{tokenizer}/spiece.model")
    dtype = "uint16" if processor.vocab_size() < 65_500 else "int32"
    with open(file, "rb") as lines, (Path(folder) / "tokens.bin").open("wb") as out:

        def write(texts: list[str]) -> None:
            for ids in processor.encode(texts, return_type="numpy", num_threads=1, add_eos=True):
                out.write(ids.astype(dtype).tobytes())

        texts: list[str] = []
        for line in lines:
            texts.append(json.loads(line)[text_field])
            documents += 1
            if len(texts) == 1000:
                write(texts)
                texts = []
        write(texts)
    told = {"version": sentencepiece.__version__, "documents": documents, "kept": documents}
    print(json.dumps(told | {"stages": {"all": time.process_time() - begin}}))


if __name__ == "__main__":
    main(*sys.argv[1:])
