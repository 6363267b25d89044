"""What a run reads, in which order: arithmetic on sample numbers. No torch."""

from .dataset import TrainingData, open_data
from .loader import Loader

__all__ = ["Loader", "TrainingData", "open_data"]
