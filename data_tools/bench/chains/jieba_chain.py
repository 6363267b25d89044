"""jieba: words of every text."""

import json
import sys
import time
from importlib.metadata import version

import jieba


def main(file: str, folder: str, tokenizer: str, text_field: str) -> None:
    """Nothing is written."""
    begin, documents = time.process_time(), 0
    with open(file, "rb") as lines:
        for line in lines:
            jieba.lcut(json.loads(line)[text_field])
            documents += 1
    told = {"version": version("jieba"), "documents": documents, "kept": documents}
    print(json.dumps(told | {"stages": {"all": time.process_time() - begin}}))


if __name__ == "__main__":
    main(*sys.argv[1:])
