"""Documents out of files, in a fixed order: text, JSON lines, tables, web archives; plain or compressed.

    .txt                one document per line
    .jsonl .json        one JSON object per line
    .csv .tsv           one document per row, names of the fields in the first row
    .parquet .arrow     one document per row; Hugging Face dataset folders are made of these
    .warc .wet          one document per text record

All but parquet and arrow also with .gz, .zst or .xz. `hf:owner/name[:config][:split]` names a dataset of the Hub.
"""

from .documents import batches, documents
from .find import COMPRESSIONS, FORMATS, expansion, find_files, is_compressed, is_whole, whole
from .records import Piece, ReadOptions, Rejected
from .rows import rows

__all__ = [
    "COMPRESSIONS",
    "FORMATS",
    "Piece",
    "ReadOptions",
    "Rejected",
    "batches",
    "documents",
    "expansion",
    "find_files",
    "is_compressed",
    "is_whole",
    "rows",
    "whole",
]
