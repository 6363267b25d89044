"""What a run reads, in which order: arithmetic on sample numbers. No torch."""

from .dataset import TrainingData, check_digests, open_data
from .loader import Loader
from .seam import Data, HeldOut

__all__ = ["Data", "HeldOut", "Loader", "TrainingData", "check_digests", "open_data"]
