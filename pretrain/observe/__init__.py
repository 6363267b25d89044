"""What is seen of a run: metrics with names and units, and the places they go to."""

from .config import SINKS, Record, Sink, SinkKind, SinkStart
from .console import show_messages
from .evaluations import Evaluation, Progress
from .metrics import METRICS, Meter
from .rank_log import rank_log
from .sinks import open_sinks

__all__ = [
    "METRICS",
    "SINKS",
    "Evaluation",
    "Meter",
    "Progress",
    "Record",
    "Sink",
    "SinkKind",
    "SinkStart",
    "open_sinks",
    "rank_log",
    "show_messages",
]
