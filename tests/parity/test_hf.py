"""Our models equal Hugging Face's in fp32 on the same random weights: logits, loss and every gradient.

`pytest -s tests/parity` prints the largest differences.
"""

from collections.abc import Iterator
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from taixue.kernels.loss import IGNORE
from taixue.pretrain.config.schema import BertConfig, T5Config
from taixue.pretrain.export.mapping import name_map
from taixue.pretrain.models import FAMILIES, build_model

from .models import CONFIGS, hf_model, random_state, skip_unless_right

LIMIT = 1e-5
SHAPES = ((1, 1, 1), (2, 7, 5), (3, 33, 17), (2, 40, 40))


@pytest.fixture(scope="module")
def report() -> Iterator[list[tuple[str, ...]]]:
    """Rows collected by the tests, printed once at the end."""
    rows: list[tuple[str, ...]] = []
    yield rows
    print("\n\nmax abs difference from Hugging Face (fp32)")
    print(f"{'model':14} {'attention':9} {'padding':8} {'logits':>9} {'loss':>9} {'gradient':>9}  largest in")
    for model, attention, padding, logits, loss, gradient, worst in sorted(rows):
        print(f"{model:14} {attention:9} {padding:8} {logits:>9} {loss:>9} {gradient:>9}  {worst}")


@pytest.mark.parametrize("padded", [False, True], ids=["full", "padded"])
@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("name", CONFIGS)
def test_equals_hugging_face(name: str, attention: str, padded: bool, report: list[tuple[str, ...]]) -> None:
    config = CONFIGS[name]
    skip_unless_right(config)
    if name == "megatron-bert" and attention == "sdpa":
        pytest.skip("transformers has no sdpa for Megatron-BERT")
    state = random_state(config)
    theirs = hf_model(config, state, attention)
    ours = build_model(config)
    ours.load_state_dict(state)
    ours.eval()
    worst = {"logits": 0.0, "loss": 0.0, "gradient": 0.0}
    worst_name = ""
    for seed, shape in enumerate(SHAPES):
        batch = make_batch(config, shape, padded, seed)
        ours.zero_grad()
        theirs.zero_grad()
        our_logits, our_loss = run_ours(ours, batch)
        their_logits, their_loss = run_theirs(theirs, FAMILIES.of(config).hf.outputs, batch)
        our_loss.backward()
        their_loss.backward()
        for a, b in zip(our_logits, their_logits, strict=True):
            worst["logits"] = max(worst["logits"], difference(a, b))
        worst["loss"] = max(worst["loss"], difference(our_loss, their_loss))
        gradients = {key: value.grad for key, value in theirs.named_parameters()}
        for key, parameter in ours.named_parameters():
            expected = gradients.pop(name_map(config).to_hf(key))
            assert expected is not None
            assert parameter.grad is not None
            apart = difference(parameter.grad, expected)
            if (
                min(shape) > 1
            ):  # a single key has no score gradient but rounding; others are held to their size
                assert apart <= 1e-3 * expected.abs().max() + 1e-6, key
            if apart > worst["gradient"]:
                worst["gradient"], worst_name = apart, key
        assert not gradients
    numbers = tuple(f"{value:.1e}" for value in worst.values())
    report.append((name, attention, "padded" if padded else "full", *numbers, worst_name))
    assert max(worst.values()) <= LIMIT, worst


@pytest.mark.parametrize("name", CONFIGS)
def test_chained_slices_equal_the_whole(name: str) -> None:
    config = CONFIGS[name]
    total = FAMILIES.of(config).costs.layers(config)
    state = random_state(config)
    whole = build_model(config)
    whole.load_state_dict(state)
    batch = make_batch(config, (2, 9, 6), True, 0)
    expected = whole(**batch)
    expected.sum().backward()
    for cuts in ((1,), (2,), (total - 1,), (1, 2), tuple(range(1, total))):
        edges = (0, *cuts, total)
        slices = [build_model(config, range(a, b)) for a, b in pairwise(edges)]
        hidden: tuple[Tensor, ...] = ()
        for part in slices:
            own = {key: state[key] for key in part.state_dict()}
            part.load_state_dict(own)
            is_last = part is slices[-1]
            out = part(
                *hidden, **(batch if is_last else {k: v for k, v in batch.items() if "labels" not in k})
            )
            hidden = out if isinstance(out, tuple) else (out,)
        assert torch.equal(hidden[0], expected), cuts
        hidden[0].sum().backward()
        total_gradient: dict[str, Tensor] = {}
        for part in slices:
            for key, parameter in part.named_parameters():
                if parameter.grad is not None:
                    total_gradient[key] = total_gradient.get(key, 0) + parameter.grad
        for key, parameter in whole.named_parameters():
            torch.testing.assert_close(
                total_gradient[key], parameter.grad, rtol=1e-5, atol=1e-5, msg=f"{cuts} {key}"
            )


def difference(a: Tensor, b: Tensor) -> float:
    assert a.shape == b.shape
    return (a - b).abs().max().item()


def padding(shape: tuple[int, int], generator: torch.Generator) -> Tensor:
    """(B, S) bool mask: rows of random length, the first one full."""
    lengths = torch.randint(1, shape[1] + 1, (shape[0], 1), generator=generator)
    lengths[0] = shape[1]
    return torch.arange(shape[1])[None] < lengths


def make_batch(
    config: T5Config | BertConfig, shape: tuple[int, int, int], padded: bool, seed: int
) -> dict[str, Tensor]:
    """Arguments of our model for shape (B, S, T); BERT has no T."""
    if FAMILIES.of(config).tokenizer == "t5":
        return t5_batch(config, shape, padded, seed)
    return bert_batch(config, shape, padded, seed)


def t5_batch(config: T5Config, shape: tuple[int, int, int], padded: bool, seed: int) -> dict[str, Tensor]:
    rows, source, target = shape
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(2, config.vocab_size, (rows, target), generator=generator)
    batch = {
        "input_ids": torch.randint(2, config.vocab_size, (rows, source), generator=generator),
        "decoder_input_ids": torch.cat((torch.zeros(rows, 1, dtype=torch.long), labels[:, :-1]), 1),
        "labels": labels,
    }
    if padded:
        batch["attention_mask"] = padding((rows, source), generator)
        batch["input_ids"] = batch["input_ids"].masked_fill(~batch["attention_mask"], 0)
        batch["labels"] = labels.masked_fill(~padding((rows, target), generator), IGNORE)
    return batch


def bert_batch(config: BertConfig, shape: tuple[int, int, int], padded: bool, seed: int) -> dict[str, Tensor]:
    rows, length, _ = shape
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(1, config.vocab_size, (rows, length), generator=generator)
    predicted = torch.rand(rows, length, generator=generator) < 0.3
    predicted[:, 0] = True
    batch = {
        "input_ids": ids,
        "token_type_ids": torch.randint(0, 2, (rows, length), generator=generator),
        "labels": torch.randint(1, config.vocab_size, (rows, length), generator=generator).masked_fill(
            ~predicted, IGNORE
        ),
        "sop_labels": torch.randint(0, 2, (rows,), generator=generator),
    }
    if padded:
        mask = padding((rows, length), generator)
        batch["attention_mask"] = mask
        batch["input_ids"] = ids.masked_fill(~mask, 0)
        batch["labels"] = batch["labels"].masked_fill(~mask, IGNORE)
    return batch


def run_ours(model: torch.nn.Module, batch: dict[str, Tensor]) -> tuple[tuple[Tensor, ...], Tensor]:
    """Logits, and the loss as HF defines it: means over the predicted positions, added up."""
    inputs = {key: value for key, value in batch.items() if "labels" not in key}
    with torch.no_grad():
        logits = model(**inputs)
    sums = model(**batch)
    counts = [(batch["labels"] != IGNORE).sum()]
    if "sop_labels" in batch:
        counts.append(torch.tensor(len(batch["sop_labels"])))
    return logits if isinstance(logits, tuple) else (logits,), (sums / torch.stack(counts)).sum()


def run_theirs(
    model: torch.nn.Module, outputs: tuple[str, ...], batch: dict[str, Tensor]
) -> tuple[tuple[Tensor, ...], Tensor]:
    """outputs: names of the logits."""
    batch = dict(batch)
    if "attention_mask" in batch:
        batch["attention_mask"] = batch["attention_mask"].long()
    if "sop_labels" not in batch:
        out = model(**batch, use_cache=False)
        return (out.logits,), out.loss
    label = "sentence_order_label" if "sop_logits" in outputs else "next_sentence_label"
    out = model(**{label: batch.pop("sop_labels")}, **batch)
    return tuple(out[name] for name in outputs), out.loss
