"""Commands around entity knowledge. See cli.py."""

import argparse
from pathlib import Path


def transe(words: list[str]) -> int:
    parser = argparse.ArgumentParser(
        "taixue knowledge transe",
        description="Learn TransE vectors of a graph's entities and relations, and rank held-out triples with them.",
    )
    parser.add_argument("triples", metavar="TRIPLES", help="a TSV: head<TAB>relation<TAB>tail")
    parser.add_argument("out", metavar="OUT", type=Path, help="folder to write")
    parser.add_argument("--width", type=int, default=100, help="size of a vector (default: 100)")
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--margin", type=float, default=1.0)
    parser.add_argument("--lr", type=float, default=0.1, help="of Adagrad (default: 0.1)")
    parser.add_argument("--negatives", type=int, default=8, help="corrupted triples for each (default: 8)")
    parser.add_argument(
        "--held-out", type=float, default=0.05, help="share of the triples to rank (default: 0.05)"
    )
    parser.add_argument("--seed", type=int, default=1)
    options = vars(parser.parse_args(words))
    path, out = options.pop("triples"), options.pop("out")
    from taixue.base import UserError

    for name in ("width", "epochs", "negatives", "margin", "lr"):
        if options[name] <= 0:
            raise UserError(f"--{name} {options[name]}: should be more than 0")
    if not 0 <= options["held_out"] < 1:
        raise UserError(f"--held-out {options['held_out']}: should be at least 0 and less than 1")
    from taixue.pretrain.knowledge import read_triples
    from taixue.pretrain.knowledge.transe import TransE, train_vectors
    from taixue.pretrain.knowledge.vectors import save_vectors

    graph = read_triples(path)
    print(
        f"{path}: {len(graph.triples):,} triples, {len(graph.entities):,} entities, {len(graph.relations):,} relations"
    )
    vectors, ranking = train_vectors(graph, TransE(**options))
    save_vectors(vectors, out, options | {"mrr": ranking.mrr, "hits@10": ranking.hits10})
    if ranking.triples:
        chance = min(1.0, 10 / len(graph.entities))
        print(
            f"{ranking.triples:,} held-out triples, heads and tails: hits@10 {ranking.hits10:.3f} (chance about "
            f"{chance:.3f}), MRR {ranking.mrr:.3f}"
        )
    print(f"{out}: vectors of width {vectors.width}")
    return 0
