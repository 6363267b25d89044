"""What is seen of a run: metrics with names and units, and the places they go to."""

from .config import SINKS, Record, Sink, SinkKind, SinkStart
from .console import show_messages
from .metrics import METRICS, Meter
from .rank_log import rank_log
from .sinks import evaluated, open_sinks

__all__ = [
    "METRICS",
    "SINKS",
    "Meter",
    "Record",
    "Sink",
    "SinkKind",
    "SinkStart",
    "evaluated",
    "open_sinks",
    "rank_log",
    "show_messages",
]
