"""Record again what Taixue computes, after it was changed on purpose: `python -m tests.recorded [ITEM ...]`.

Without names everything; says what is not what it was. Commit recorded.json together with the change.
"""

import json
import sys
import tempfile
from pathlib import Path

from .computed import ITEMS, Home
from .test_recorded import RECORDED, recorded


def record(names: list[str]) -> None:
    before = recorded()
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder))
        now = {name: ITEMS[name](home) for name in names}
    kept = {name: value for name, value in before.items() if name in ITEMS}
    after = dict(sorted((kept | now).items()))
    RECORDED.write_text(json.dumps(after, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    for name in sorted(before.keys() | after.keys()):
        if before.get(name) != after.get(name):
            print(f"{name}: {'new' if name not in before else 'changed' if name in after else 'gone'}")


if __name__ == "__main__":
    record(sys.argv[1:] or list(ITEMS))
