"""Train the variants with the ordinary loop, probe each run with the same cases, compare."""

import math
from collections.abc import Mapping
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np
import torch

from taixue.base import UserError, files
from taixue.data_tools.tokenizer.base import Tokenizer
from taixue.data_tools.tokenizer.store import load_tokenizer

from ..config.schema import KnowledgeConfig, ParallelConfig, RunConfig
from ..config.validate import run_folder
from ..data import open_data
from ..export.trained import read_trained
from ..models import FAMILIES, build_model
from ..objectives import build_objective
from ..run.contents import PREEMPTED
from ..train import main as train
from .cloze import Cloze, score
from .probes import from_chid, from_windows
from .results import page, show

Results = dict[str, dict[str, dict[str, list[float]]]]
"""[probe][accuracy or loss][variant]: one number for each seed."""


def ablate(
    run: RunConfig, *, seeds: int = 3, cases: int = 300, chid: str = "", out: Path | None = None
) -> dict[str, Any]:
    """Train `seeds` runs with plain and as many with knowledge masks, in one process each time, and compare.

    Runs are called <name>-<variant>-<seed>; those that are finished are only probed. cases: of each type, from the
    held-out windows. Prints a table, writes ablation.json and ablation.html into `out` (default: runs/<name>-ablation)
    and returns what is in the first. UserError.
    """
    if seeds < 2:
        raise UserError(f"--seeds {seeds}: a spread needs at least 2; 3 or more are worth reading")
    tokenizer = load_tokenizer(run.data.tokenizer)
    made = variants(run)
    probes = probe_cases(made["knowledge"], tokenizer, cases, chid)
    results: Results = {}
    for seed in range(run.seed, run.seed + seeds):
        for variant, config in made.items():
            one = config.model_copy(update={"seed": seed, "name": f"{run.name}-{variant}-{seed}"})
            train(one)
            if (run_folder(one) / PREEMPTED).exists():
                raise UserError(f"stopped in run {one.name}; the same command goes on from there")
            for kind, found in score(_trained(one), tokenizer, probes, run.objective.input_length).items():
                for measure in ("accuracy", "loss"):
                    by_variant = results.setdefault(kind, {}).setdefault(measure, {})
                    by_variant.setdefault(variant, []).append(getattr(found, measure))
    facts = {
        "run": run.name,
        "steps": run.steps,
        "seeds": seeds,
        "objectives": {name: config.objective.model_dump(mode="json") for name, config in made.items()},
        "cases": {kind: sum(case.kind == kind for case in probes) for kind in results},
        "results": results,
        "differences": differences(results),
    }
    folder = out or Path(run.runs) / f"{run.name}-ablation"
    folder.mkdir(parents=True, exist_ok=True)
    files.write(folder / "ablation.json", files.readable_json(facts))
    files.write(folder / "ablation.html", page(facts).encode())
    show(facts, folder)
    return facts


def variants(run: RunConfig) -> dict[str, RunConfig]:
    """ "plain": the run with the masks of BERT or T5; "knowledge": with its own masks, or with masks drawn by knowledge
    where its own are plain. Both on one rank, and without what else the run learns from annotation."""
    objective, model = run.objective, run.model
    masks = {"mlm": ("masking", "token"), "span-corruption": ("spans", "random")}
    if objective.kind not in masks:
        raise UserError(
            f"objective.kind: {objective.kind} has no plain counterpart; legal: {', '.join(masks)}"
        )
    name, plain = masks[objective.kind]
    configured = getattr(objective, name)
    family = FAMILIES.of(model)
    switched_off = dict.fromkeys(family.switches(model), False)
    shared = {
        "model": family.bare(model),
        "parallel": ParallelConfig(),
        "knowledge": KnowledgeConfig(),
    }
    return {
        variant: run.model_copy(
            update={**shared, "objective": objective.model_copy(update={**switched_off, name: value})}
        )
        for variant, value in (
            ("plain", plain),
            ("knowledge", "knowledge" if configured == plain else configured),
        )
    }


def probe_cases(run: RunConfig, tokenizer: Tokenizer, most: int, chid: str) -> list[Cloze]:
    """Cases from all held-out windows of the run's sources, and those of the folder `chid`. UserError."""
    objective = build_objective(run.objective, tokenizer)
    data = open_data(run, tokenizer, objective)
    tokens, rows = [], []
    for name, source in zip(data.source_names, data.sources, strict=True):
        found, annotation = data.held_out_windows(name, range(len(source.held_out)))
        assert annotation is not None
        tokens.append(found)
        rows.append(annotation)
    idioms = run.objective.units.idiom_tags
    cases = from_windows(np.concatenate(tokens), np.concatenate(rows), data.schema, idioms, most)
    return cases + (from_chid(chid, tokenizer) if chid else [])


def differences(results: Results) -> dict[str, dict[str, dict[str, float]]]:
    """[probe][measure]: mean and standard error over the seeds of knowledge less plain, seed by seed."""
    return {
        kind: {measure: _difference(by_variant) for measure, by_variant in measures.items()}
        for kind, measures in results.items()
    }


def _difference(by_variant: Mapping[str, list[float]]) -> dict[str, float]:
    pairs = [b - a for a, b in zip(by_variant["plain"], by_variant["knowledge"], strict=True)]
    return {"mean": mean(pairs), "standard_error": stdev(pairs) / math.sqrt(len(pairs))}


def _trained(run: RunConfig) -> torch.nn.Module:
    """The model of a finished run, for evaluation."""
    trained = read_trained(run_folder(run), "last")
    with torch.device("meta"):
        model = build_model(run.model)
    model.load_state_dict(dict(trained.weights), assign=True)
    return model.eval()
