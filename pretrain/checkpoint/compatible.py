"""May this run go on from that checkpoint? What is learned must not change; where and how fast may.

What is decisive is said by the schema, key by key. Data is compared by content (its fingerprint), not by path.
"""

from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson

from taixue.base import UserError

from ..config.changes import differences, is_decisive
from ..config.schema import RunConfig
from . import layout


def check_newest(folder: Path, run: RunConfig, fingerprint: str) -> None:
    """check() with the newest checkpoint in `folder`, as far as it can be read: a start finds out about damage."""
    for path in layout.committed(folder)[:1]:
        with suppress(OSError, orjson.JSONDecodeError, KeyError):
            check(orjson.loads((path / layout.STATE).read_bytes()), run, fingerprint, str(path))


def check(state: dict[str, Any], run: RunConfig, fingerprint: str, where: str) -> None:
    """Raise UserError, naming the key and both values, if `run` cannot continue the checkpoint `where`.

    state is the checkpoint's state.json; fingerprint is that of this run's data. A key the checkpoint does
    not know (it is older than the key) counts as the key's default.
    """
    for key, (before, now) in differences(state["config"], run).items():
        if is_decisive(run, key):
            raise UserError(
                f"{where} was trained with {key} = {before!r}, the configuration says {now!r}: "
                f"set it back to {before!r}, or give the run another name to start afresh"
            )
    if state["fingerprint"] != fingerprint:
        raise UserError(
            f"{where} was trained on other data or another tokenizer (fingerprint "
            f"{state['fingerprint'][:12]}, now {fingerprint[:12]}; tokenizer "
            f"{state['config'].get('data', {}).get('tokenizer')}, now {run.data.tokenizer}): use the same corpora, "
            "weights and tokenizer, or give the run another name"
        )
