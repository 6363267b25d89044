"""Requests to stop, in one process."""

import os
import signal
import subprocess
import sys

from taixue.parallel.stop import StopRequest

PROGRAM = """
import os, signal
from taixue.parallel.stop import StopRequest
with StopRequest() as stop:
    os.kill(os.getpid(), signal.SIGINT)
    print(stop.name, flush=True)
    os.kill(os.getpid(), signal.SIGINT)
    print("still here", flush=True)
"""


def test_the_first_ctrl_c_asks_and_the_second_ends_the_process() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60)
    assert done.returncode == -signal.SIGINT
    assert done.stdout == "SIGINT\n"
    assert "Ctrl-C again stops at once" in done.stderr


def test_a_terminal_that_hangs_up_asks_to_stop_but_not_under_nohup() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with StopRequest() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not stop.votes().any()
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        with StopRequest() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            assert stop.name == "SIGHUP"
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_DFL
    finally:
        signal.signal(signal.SIGHUP, before)
