"""Where ranks find each other: a store of torch's on a port of one machine, unless somebody else has the port."""

import socket
import threading
from datetime import timedelta
from time import monotonic

import torch.distributed as dist

from taixue.base import UserError

ANSWER_SECONDS = 30.0
"""Who takes connections so long without answering as the store does is somebody else."""


def connected(
    address: str, port: int, world: int, is_server: bool, timeout: timedelta, remedy: str
) -> dist.TCPStore:
    """The store of `world` ranks at address:port, made here if is_server, else waited for as long as `timeout`.

    UserError, which ends with the remedy, where another program listens there: torch would wait for it in silence.
    """
    where = f"{address}:{port}"
    made: list[dist.TCPStore | Exception] = []

    def make() -> None:
        try:
            made.append(
                dist.TCPStore(address, port, world, is_server, timeout=timeout, wait_for_workers=False)
            )
        except Exception as error:
            made.append(error)

    maker = threading.Thread(target=make, daemon=True)
    maker.start()
    unanswered = 0.0
    while maker.is_alive() and unanswered < ANSWER_SECONDS:
        began = monotonic()
        maker.join(1.0)
        # Refused: the server is still on its way, and the store tries again. Taken, and no word: a stranger.
        unanswered = unanswered + monotonic() - began if maker.is_alive() and listens(address, port) else 0.0
    if not made:
        raise UserError(
            f"{where} takes connections but does not answer as rank 0 of this job does: another program has the port; "
            f"{remedy}"
        )
    if isinstance(made[0], Exception):
        said = next(iter(str(made[0]).strip().splitlines()), "")[:200]
        if "EADDRINUSE" in str(made[0]):
            raise UserError(f"{where}: rank 0 cannot listen there, another program has the port; {remedy}")
        raise UserError(f"{where}: rank 0 of this job is not found there ({said}); {remedy}")
    return made[0]


def listens(address: str, port: int) -> bool:
    """Whether anyone takes connections there."""
    try:
        socket.create_connection((address, port), timeout=1.0).close()
    except OSError:
        return False
    return True
