"""mT5 (Xue et al. 2021): T5 v1.1 under a name of its own. No torch here."""

from dataclasses import replace

from ..t5 import FAMILY as T5
from .config import MT5Config
from .hf import HF

FAMILY = replace(T5, name="mt5", config=MT5Config, hf=HF)
