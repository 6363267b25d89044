"""`taixue report RUN...`: a run to look at, as index.html in its folder; several over each other as one page.

A page is made of the files of run folders and of nothing else: by rank 0 while the run goes on, or at any time later.
"""

from collections.abc import Sequence
from pathlib import Path

from taixue.base import UserError, files

from ..run.contents import PAGE
from .comparison_page import comparison
from .live import RunPage, live_page
from .run_files import read_run
from .run_page import page

__all__ = ["RunPage", "live_page", "report"]

COMPARISON = "comparison.html"


def report(folders: Sequence[Path], out: Path | None = None) -> list[Path]:
    """Write the page of each run folder into it; of several also a page with all of them, to `out` (default:
    comparison.html beside the first). The paths written. UserError for what is no run folder or cannot be written."""
    runs = [read_run(folder) for folder in folders]
    made = {folder / PAGE: page(run) for folder, run in zip(folders, runs, strict=True)}
    if len(runs) > 1:
        made[out or folders[0].resolve().parent / COMPARISON] = comparison(runs)
    elif out is not None:
        made = {out: page(runs[0])}
    for path, content in made.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            files.write(path, content.encode("utf-8", "replace"))
        except OSError as error:
            raise UserError(f"page {str(path)!r} cannot be written: {error.strerror}") from None
    return list(made)
