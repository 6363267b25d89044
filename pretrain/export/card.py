"""The model card: README.md and loss.svg of an exported folder. It states what the run recorded, nothing else."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import orjson
import yaml

from taixue.base import __version__, charts
from taixue.base.files import sha256_of_file
from taixue.data_tools.tokenizer.store import Tokenizer

from ..config.schema import MlmConfig, RunConfig
from ..models import FAMILIES
from ..observe.names import WITHOUT_TAGS
from . import provenance
from .config import hf_class, model_type
from .trained import Trained

Curve = Sequence[tuple[int, float]]

_CARD = """\
---
language: zh
library_name: transformers
tags: [taixue, {kind}]
---

# {name}

A {kind} model of {parameters:,} parameters, pretrained with Taixue and exported by its version {version}. It
has seen pretraining only: it is not tuned for any task, and nothing has been measured beyond the losses below.

## Load

```python
from transformers import AutoTokenizer, {hf_class}

tokenizer = AutoTokenizer.from_pretrained("path/to/this/folder")
model = {hf_class}.from_pretrained("path/to/this/folder")
```

{example}

The weights are {dtype}. Before publication this folder was loaded with transformers and its fp32 logits compared with
those of the training code: largest difference {difference:.1e}.

## Training

| | |
|---|---|
| steps | {step:,} |
| checkpoint | {chosen} |
| samples | {samples} |
{tokens}| objective | {objective} |
| started from | {origin} |
| data fingerprint | `{fingerprint}` |
| tokenizer | `{tokenizer_sha256}` ({vocabulary:,} ids; the embedding has {rows:,} rows) |
{code}{corpora}
{losses}
{left_out}{changes}

## Configuration

```yaml
{settings}```
"""


def write_card(folder: Path, trained: Trained, tokenizer: Tokenizer, dtype: str, difference: float) -> None:
    """Write README.md, and loss.svg when the run's losses are known. difference: what verify_folder measured."""
    run, config = trained.run, trained.run.model
    kind = model_type(config)
    if len(trained.losses) > 1:
        (folder / "loss.svg").write_text(loss_svg(trained.losses), encoding="utf-8")
    card = _CARD.format(
        kind=kind,
        hf_class=hf_class(config),
        name=run.name,
        version=__version__,
        parameters=sum(tensor.numel() for tensor in trained.weights.values()),
        example=_example(run),
        dtype=dtype,
        difference=difference,
        step=trained.step,
        chosen=trained.chosen,
        samples=provenance.samples(trained),
        tokens=provenance.tokens(trained),
        objective=provenance.objective(trained),
        origin=provenance.origin(trained),
        code=provenance.code(trained),
        changes=provenance.changes(trained),
        fingerprint=trained.fingerprint,
        tokenizer_sha256=tokenizer.sha256,
        vocabulary=tokenizer.vocab_size,
        rows=config.vocab_size,
        corpora=_corpora(run),
        losses=_loss_section(trained.losses, trained.held_out),
        left_out=_left_out_section(trained),
        settings=_settings(run),
    )
    (folder / "README.md").write_text(card, encoding="utf-8")


def loss_svg(curve: Curve) -> str:
    """The curve (at least two points, steps ascending) as a small picture with two labels per axis."""
    return charts.standalone(charts.line("training loss by step", thinned(curve, 400), "step"))


def thinned(curve: Curve, count: int) -> list[tuple[int, float]]:
    """At most `count` points of the curve, evenly spread over its indices, first and last among them."""
    if len(curve) <= count:
        return list(curve)
    return [curve[round(i * (len(curve) - 1) / (count - 1))] for i in range(count)]


def _loss_section(curve: Curve, held_out: Mapping[str, float]) -> str:
    if not curve:
        return "The run's metrics were not beside the checkpoint: no loss is reported."
    rows = "\n".join(f"| {step:,} | {loss:.4f} |" for step, loss in thinned(curve, 12))
    picture = "\n\n![training loss](loss.svg)" if len(curve) > 1 else ""
    evaluated = "".join(f"\n| held out, {name} | {loss:.4f} |" for name, loss in held_out.items())
    return f"## Loss (nats per predicted token)\n\n| step | loss |\n|---|---|\n{rows}{evaluated}{picture}"


def distances(held_out: Mapping[str, float]) -> dict[str, float]:
    """By "source/objective": held-out loss without linguistic inputs, as the folder has it, less that with them."""
    return {
        name: held_out[name + WITHOUT_TAGS] - loss
        for name, loss in held_out.items()
        if name + WITHOUT_TAGS in held_out
    }


def _left_out_section(trained: Trained) -> str:
    parts = FAMILIES.of(trained.run.model).hf.left_out(trained.run.model)
    if not parts:
        return ""
    rows = "".join(f"| {name} | {gap:+.4f} |\n" for name, gap in distances(trained.held_out).items())
    table = f"\n\n| held-out loss without tags, less that with them | |\n|---|---|\n{rows}" if rows else ""
    if not rows and any("head" not in part for part in parts):
        table = " What that costs was not measured: no evaluation is recorded beside the checkpoint."
    return f"\n## Left out\n\nTrained with, and not in this folder: {', '.join(parts)}.{table}"


def _example(run: RunConfig) -> str:
    ordered = isinstance(run.objective, MlmConfig) and run.objective.sentence_order
    return FAMILIES.of(run.model).hf.example(run.model, ordered)


def _corpora(run: RunConfig) -> str:
    """A row per source, with the digest of its corpus.json where the folder is still there."""
    rows = []
    for source in run.data.sources:
        manifest = Path(source.corpus) / "corpus.json"
        digest = f" `{sha256_of_file(manifest)}`" if manifest.is_file() else ""
        part = f", source {source.source}" if source.source else ""
        weight = f", weight {source.weight:g}" if source.weight else ""
        rows.append(f"| corpus | {Path(source.corpus).name}{part}{weight}{digest} |\n")
    return "".join(rows)


def _settings(run: RunConfig) -> str:
    """What was learned and how, without paths and without the layout, which changes no result."""
    sections = ("model", "objective", "batch", "optimizer", "schedule")
    shown = {name: orjson.loads(getattr(run, name).model_dump_json()) for name in sections}
    shown["batch"] = {"global_size": run.batch.global_size}
    if words := shown["objective"].get("similar_words"):
        shown["objective"]["similar_words"] = Path(words).name
    return yaml.safe_dump({"seed": run.seed, **shown}, sort_keys=False, allow_unicode=True)
