"""Models by family, each with a record of all that is asked of it; parallel/ is handed a ModelSpec and nothing else.

No torch here: a record imports it when a model is built.
"""

from . import albert, bert, mt5, t5, umt5
from .family import FAMILIES, Family
from .spec import ModelSpec, build_model, model_spec

__all__ = ["FAMILIES", "Family", "ModelSpec", "build_model", "model_spec"]

FAMILIES.add(t5.FAMILY)
FAMILIES.add(bert.FAMILY)
FAMILIES.add(albert.FAMILY)
FAMILIES.add(mt5.FAMILY)
FAMILIES.add(umt5.FAMILY)
