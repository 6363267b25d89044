"""What a script that registers kinds of its own needs; docs/extending.md has the contract of each. No torch here."""

from taixue.base.section import Section
from taixue.data_tools.clean.config import MeasureKind
from taixue.pretrain.models import Family
from taixue.pretrain.objectives import Objective, ObjectiveKind, ObjectiveSection
from taixue.pretrain.observe.config import Sink, SinkKind, SinkStart
from taixue.pretrain.optim import OptimizerKind, OptimizerSection, ScheduleKind, ScheduleSection

__all__ = [
    "Family",
    "MeasureKind",
    "Objective",
    "ObjectiveKind",
    "ObjectiveSection",
    "OptimizerKind",
    "OptimizerSection",
    "ScheduleKind",
    "ScheduleSection",
    "Section",
    "Sink",
    "SinkKind",
    "SinkStart",
]
