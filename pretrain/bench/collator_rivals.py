"""Other collators, on the same windows: what `taixue bench masking` compares with. Those not installed are left out."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from taixue.data_tools.tokenizer.base import Tokenizer

from ..objectives.spans import SpanShape

Step = Callable[[range], Any]


def rivals(
    tokenizer: Tokenizer, folder: Path, windows: np.ndarray, length: int
) -> tuple[dict[str, Step], list[str]]:
    """(steps by name, what is missing and why) for windows int32 (W, N); a step is given numbers of windows."""
    made: dict[str, Callable[[], Step]]
    if tokenizer.kind == "t5":
        made = {
            "  HF's T5 collator (Flax example)": lambda: hf_t5(tokenizer, windows, length),
            "  megatron-core T5 dataset": lambda: _megatron_t5(tokenizer, windows),
        }
    else:
        made = {
            "  HF's MLM collator": lambda: _hf_mlm(folder, tokenizer, windows, whole_words=False),
            "  HF's MLM collator, ## words": lambda: _hf_mlm(folder, tokenizer, windows, whole_words=True),
        }
    steps: dict[str, Step] = {}
    missing: list[str] = []
    for name, make in made.items():
        try:
            steps[name] = make()
        except ImportError as error:
            missing.append(f"{name}: not installed ({error})")
    return steps, missing


def hf_t5(tokenizer: Tokenizer, windows: np.ndarray, length: int) -> Step:
    """The algorithm of transformers' examples/flax run_t5_mlm_flax.py (nanoT5 has the same), in numpy as there: a noise
    mask for each example, sentinels by cumulative sums, and a filter, over the batch."""
    shape = SpanShape.of_input(length, 0.15, 3.0)
    random = np.random.default_rng(1)

    def parts(total: int, count: int) -> np.ndarray:
        first = np.arange(total - 1) < count - 1
        random.shuffle(first)
        return np.bincount(np.cumsum(np.append(False, first)), minlength=count)

    def noise_mask() -> np.ndarray:
        noise = parts(shape.noise_tokens, shape.spans)
        text = parts(shape.raw_length - shape.noise_tokens, shape.spans)
        lengths = np.stack([text, noise], axis=1).ravel()
        starts = np.zeros(shape.raw_length, np.int8)
        starts[np.cumsum(lengths)[:-1]] = 1
        return np.cumsum(starts) % 2 == 1

    def sentinels(mask: np.ndarray) -> np.ndarray:
        mask = mask.astype(np.int8)
        start = mask - np.roll(mask, 1, axis=-1) * mask
        start[:, 0] = mask[:, 0]
        ids = np.where(start != 0, np.cumsum(start, axis=-1, dtype=np.int64), 0)
        ids = np.where(ids != 0, tokenizer.vocab_size - ids, 0)
        return ids - (mask - start)

    def filtered(tokens: np.ndarray, marks: np.ndarray) -> np.ndarray:
        full = np.where(marks != 0, marks, tokens)
        kept = full[full >= 0].reshape(len(tokens), -1)
        return np.concatenate([kept, np.full((len(tokens), 1), tokenizer.eos_id)], axis=-1)

    def step(numbers: range) -> dict[str, np.ndarray]:
        tokens = np.stack([windows[number] for number in numbers]).astype(np.int64)
        mask = np.stack([noise_mask() for _ in numbers])
        labels = filtered(tokens, sentinels(~mask))
        shifted = np.zeros_like(labels)
        shifted[:, 1:], shifted[:, 0] = labels[:, :-1], tokenizer.pad_id
        return {
            "input_ids": filtered(tokens, sentinels(mask)),
            "labels": labels,
            "decoder_input_ids": shifted,
        }

    return step


def _megatron_t5(tokenizer: Tokenizer, windows: np.ndarray) -> Step:
    """T5MaskedWordPieceDataset.__getitem__ itself, on windows in place of an indexed dataset."""
    from megatron.core.datasets.t5_dataset import T5MaskedWordPieceDataset

    dataset = T5MaskedWordPieceDataset.__new__(T5MaskedWordPieceDataset)
    count, size = windows.shape
    pieces = dict(enumerate(tokenizer.pieces(range(tokenizer.vocab_size))))
    names = SimpleNamespace(
        inv_vocab=pieces,
        cls=-1,
        sep=-1,
        bos=tokenizer.pad_id,
        eos=tokenizer.eos_id,
        pad=tokenizer.pad_id,
        mask=tokenizer.sentinel_ids[0],
        # It makes spans of up to ten pieces, in no fixed number.
        additional_special_tokens_ids=[
            tokenizer.sentinel_ids[k % len(tokenizer.sentinel_ids)] for k in range(size)
        ],
    )
    dataset.config = SimpleNamespace(
        tokenizer=names,
        random_seed=1,
        sequence_length=size,
        sequence_length_encoder=2 * size,
        sequence_length_decoder=size,
        masking_probability=0.15,
        short_sequence_probability=0.0,
        masking_max_ngram=10,
        masking_do_full_word=True,
        masking_do_permutation=False,
        masking_use_longer_ngrams=False,
        masking_use_geometric_distribution=True,
    )
    dataset.dataset = windows
    dataset.sample_index = np.stack([np.arange(count), np.arange(1, count + 1), np.full(count, size)], axis=1)
    dataset.token_lookup = list(pieces)
    dataset._pad_token_id = tokenizer.pad_id

    def step(numbers: range) -> list[np.ndarray]:
        samples = [dataset[number] for number in numbers]
        return [np.stack([sample[name] for sample in samples]) for name in ("text_enc", "text_dec", "labels")]

    return step


def _hf_mlm(folder: Path, tokenizer: Tokenizer, windows: np.ndarray, whole_words: bool) -> Step:
    """transformers' DataCollatorForLanguageModeling on numpy arrays; offsets as of pieces where ## joins words."""
    from transformers import AutoTokenizer, DataCollatorForLanguageModeling

    collator = DataCollatorForLanguageModeling(
        AutoTokenizer.from_pretrained(folder),
        mlm_probability=0.15,
        whole_word_mask=whole_words,
        mask_replace_prob=1.0 if whole_words else 0.8,
        random_replace_prob=0.0 if whole_words else 0.1,
        return_tensors="np",
    )
    special = np.zeros(tokenizer.vocab_size, np.int64)
    special[list(tokenizer.special_ids)] = 1
    continues = np.array([piece.startswith("##") for piece in tokenizer.pieces(range(tokenizer.vocab_size))])
    ends = 2 * np.arange(windows.shape[1]) + 1

    def features(window: np.ndarray) -> dict[str, Any]:
        ids = np.concatenate([[tokenizer.cls_id], window, [tokenizer.sep_id]])
        made = {"input_ids": ids, "special_tokens_mask": special[ids]}
        if whole_words:
            begins = np.where(continues[window], ends - 2, ends - 1)
            offsets = np.stack([begins, ends], axis=1)
            made["offset_mapping"] = np.pad(offsets, ((1, 1), (0, 0)))
        return made

    prepared = [features(window.astype(np.int64)) for window in windows]
    return lambda numbers: collator([dict(prepared[number]) for number in numbers])
