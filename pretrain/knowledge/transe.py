"""TransE (Bordes et al. 2013): entities and relations as vectors with h + r near t for every triple (h, r, t).

Minimises sum [margin + |h + r - t| - |h' + r - t'|]_+ over triples and corrupted ones, which have another head or tail
and are in no triple of the graph. Entities have length 1. On the CPU; the same numbers give the same vectors.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import embedding, normalize

from taixue.base import UserError

from .triples import Graph
from .vectors import Vectors

_RANKED_AT_ONCE = 256  # triples


@dataclass(frozen=True)
class TransE:
    """How to train. held_out: share of the triples that are ranked, not learned."""

    width: int = 100
    epochs: int = 200
    batch: int = 1024
    negatives: int = 8
    margin: float = 1.0
    lr: float = 0.1
    held_out: float = 0.05
    seed: int = 1


@dataclass(frozen=True)
class Ranking:
    """Filtered link prediction on held-out triples, heads and tails: mean reciprocal rank, share of ranks <= 10."""

    mrr: float
    hits10: float
    triples: int


def train_vectors(graph: Graph, options: TransE) -> tuple[Vectors, Ranking]:
    """Vectors of the graph, learned from all but the held-out triples, and how well these are found.

    A held-out triple has no name that would not occur otherwise. UserError when there is nothing to corrupt.
    """
    if len(graph.entities) < 3:
        raise UserError(f"{len(graph.entities)} entities are too few for vectors; at least 3 are needed")
    generator = torch.Generator().manual_seed(options.seed)
    held_out = _held_out(graph, options.held_out, generator)
    triples = torch.from_numpy(graph.triples[~held_out])
    known = torch.from_numpy(np.sort(graph.keys(graph.triples)))
    entities, relations = (
        torch.empty(count, options.width).uniform_(-1, 1, generator=generator)
        for count in (len(graph.entities), len(graph.relations))
    )
    entities, relations = (normalize(x, dim=1).requires_grad_() for x in (entities, relations))
    optimizer = torch.optim.Adagrad([entities, relations], lr=options.lr)
    for _ in range(options.epochs):
        for batch in triples[torch.randperm(len(triples), generator=generator)].split(options.batch):
            wrong = _corrupted(graph, batch, options.negatives, generator)
            false = ~torch.isin(_keys(graph, wrong), known)
            right_distance = _distance(entities, relations, batch)
            wrong_distance = _distance(entities, relations, wrong)
            excess = (options.margin + right_distance - wrong_distance).relu() * false
            optimizer.zero_grad()
            excess.sum().backward()
            with torch.sparse.check_sparse_tensor_invariants(False):  # said aloud, else torch warns
                optimizer.step()
            with torch.no_grad():
                touched = torch.cat((batch, wrong.flatten(0, 1)))[:, ::2].unique()
                entities[touched] = normalize(entities[touched], dim=1)
    learned = (entities.detach(), relations.detach())
    vectors = Vectors(graph, learned[0].numpy(), learned[1].numpy())
    return vectors, rank(vectors, graph.triples[held_out])


def rank(vectors: Vectors, triples: np.ndarray) -> Ranking:
    """Rank the tail of each triple (N, 3) among all entities, then the head; other true answers do not compete."""
    graph = vectors.graph
    entities, relations = torch.from_numpy(vectors.entities), torch.from_numpy(vectors.relations)
    ranks = []
    for side in (2, 0) if len(triples) else ():
        known = _questions(graph, graph.triples, side)
        order = np.argsort(known, kind="stable")
        answers = torch.from_numpy(graph.triples[order, side])
        for chunk in np.split(triples, range(_RANKED_AT_ONCE, len(triples), _RANKED_AT_ONCE)):
            given, relation, answer = torch.from_numpy(chunk[:, [2 - side, 1, side]]).T
            step = relations[relation] if side == 2 else -relations[relation]
            distances = torch.cdist(entities[given] + step, entities)
            own = distances.gather(1, answer[:, None])
            asked = _questions(graph, chunk, side)
            first, last = (np.searchsorted(known[order], asked, edge) for edge in ("left", "right"))
            row = torch.from_numpy(np.repeat(np.arange(len(chunk)), last - first))
            true = answers[np.concatenate([np.arange(a, b) for a, b in zip(first, last, strict=True)])]
            nearer_and_true = (distances[row, true] < own[row, 0]).double()
            true_count = torch.bincount(row, nearer_and_true, minlength=len(chunk))
            ranks.append(1 + (distances < own).sum(1) - true_count)
    if not ranks:
        return Ranking(0.0, 0.0, 0)
    place = torch.cat(ranks)
    return Ranking((1 / place).mean().item(), (place <= 10).double().mean().item(), len(triples))


def _questions(graph: Graph, triples: np.ndarray, side: int) -> np.ndarray:
    """int64 (N,): one number for all that a triple says but its head (side 0) or tail (side 2)."""
    result: np.ndarray = triples[:, 2 - side] * len(graph.relations) + triples[:, 1]
    return result


def _held_out(graph: Graph, share: float, generator: torch.Generator) -> np.ndarray:
    """bool (N,): about `share` of the triples, whose names all occur in others."""
    left = [np.bincount(graph.triples[:, column]) for column in range(3)]
    left[0] = left[2] = np.bincount(graph.triples[:, ::2].ravel())
    chosen, wanted = np.zeros(len(graph.triples), bool), int(len(graph.triples) * share)
    for index in torch.randperm(len(graph.triples), generator=generator).tolist():
        if wanted == 0:
            break
        head, relation, tail = graph.triples[index].tolist()
        needed = 1 + (head == tail)
        if left[0][head] > needed and left[0][tail] > needed and left[1][relation] > 1:
            chosen[index], wanted = True, wanted - 1
            left[0][head] -= 1
            left[0][tail] -= 1
            left[1][relation] -= 1
    return chosen


def _corrupted(graph: Graph, triples: Tensor, negatives: int, generator: torch.Generator) -> Tensor:
    """(negatives, N, 3): each with another head or tail."""
    wrong = triples.repeat(negatives, 1, 1)
    others = torch.randint(len(graph.entities), wrong.shape[:2], generator=generator)
    heads = torch.rand(wrong.shape[:2], generator=generator) < 0.5
    wrong[..., 0] = torch.where(heads, others, wrong[..., 0])
    wrong[..., 2] = torch.where(heads, wrong[..., 2], others)
    return wrong


def _distance(entities: Tensor, relations: Tensor, triples: Tensor) -> Tensor:
    """|h + r - t| of triples (..., 3)."""
    heads, tails = (embedding(triples[..., side], entities, sparse=True) for side in (0, 2))
    return (heads + embedding(triples[..., 1], relations, sparse=True) - tails).norm(dim=-1)


def _keys(graph: Graph, triples: Tensor) -> Tensor:
    return torch.from_numpy(graph.keys(triples.numpy()))
