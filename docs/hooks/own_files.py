"""Fails the build when a page loads a script, style, font or picture from another host."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig

LOADED = re.compile(
    r"""<(?:script|link|img|iframe|source)\b[^>]*?\b(?:src|href)=["']?((?:https?:)?//[^"'\s>]+)"""
)
STYLED = re.compile(r"""(?:@import|url\()\s*["']?((?:https?:)?//[^"')\s]+)""")


def foreign_files(site: Path) -> list[str]:
    """ "page: address" of everything that the pages and styles of a built site load from elsewhere."""
    return [
        f"{path.relative_to(site)}: {address}"
        for suffix, pattern in ((".html", LOADED), (".html", STYLED), (".css", STYLED))
        for path in sorted(site.rglob(f"*{suffix}"))
        for address in pattern.findall(path.read_text(encoding="utf-8"))
    ]


def on_post_build(config: "MkDocsConfig") -> None:
    """mkdocs calls it when everything is written."""
    from mkdocs.exceptions import PluginError

    found = foreign_files(Path(config.site_dir))
    if found:
        raise PluginError("pages load files of other hosts:\n" + "\n".join(found))
