"""Entity knowledge for pretraining (DKPLM, Zhang et al. 2022): triples, TransE vectors, mentions in a batch.

Nothing of it is needed once a model is trained.
"""

from .mentions import Mentions, open_knowledge
from .transe import TransE, train_vectors
from .triples import Graph, read_triples
from .vectors import Vectors, load_vectors

__all__ = [
    "Graph",
    "Mentions",
    "TransE",
    "Vectors",
    "load_vectors",
    "open_knowledge",
    "read_triples",
    "train_vectors",
]
