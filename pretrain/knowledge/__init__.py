"""Entity knowledge for pretraining (DKPLM, Zhang et al. 2022): triples, TransE vectors, mentions in a batch.

Nothing of it is needed once a model is trained. transe.py is the only part that needs torch.
"""

from .mentions import Mentions, open_knowledge
from .triples import Graph, read_triples
from .vectors import Vectors, load_vectors

__all__ = ["Graph", "Mentions", "Vectors", "load_vectors", "open_knowledge", "read_triples"]
