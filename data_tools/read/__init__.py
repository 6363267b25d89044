"""Documents out of files, in a fixed order: text, JSON lines, tables, web archives; plain or compressed.

    .txt                    one document per line
    .jsonl .json .ndjson    one JSON object per line
    .csv .tsv               one document per row, names of the fields in the first row
    .parquet .arrow         one document per row; Hugging Face dataset folders are made of these
    .warc .wet              one document per page or text record

All but parquet and arrow also with .gz, .bz2, .zst or .xz, in small or capital letters; files without an ending
(part-00000) are what they hold. URLs (s3://bucket/*.jsonl.zst) are read by fsspec; `hf:owner/name[:config][:split]`
names a dataset of the Hub.
"""

from .documents import batches, documents
from .filesystem import facts, is_remote
from .find import HUB, Found, Left, find, find_files, whole
from .kinds import COMPRESSIONS, FORMATS, expansion, holds_pages, is_compressed, is_whole
from .pages import library as page_library
from .records import Piece, ReadOptions, Rejected
from .rows import rows

__all__ = [
    "COMPRESSIONS",
    "FORMATS",
    "HUB",
    "Found",
    "Left",
    "Piece",
    "ReadOptions",
    "Rejected",
    "batches",
    "documents",
    "expansion",
    "facts",
    "find",
    "find_files",
    "holds_pages",
    "is_compressed",
    "is_remote",
    "is_whole",
    "page_library",
    "rows",
    "whole",
]
