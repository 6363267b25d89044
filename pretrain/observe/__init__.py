"""What is seen of a run: metrics with names and units, and the places they go to."""

from .console import show_messages
from .metrics import METRICS, Meter
from .sinks import Record, Sink, evaluated, open_sinks

__all__ = ["METRICS", "Meter", "Record", "Sink", "evaluated", "open_sinks", "show_messages"]
