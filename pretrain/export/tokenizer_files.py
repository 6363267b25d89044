"""Tokenizer files of a folder: copying them, and what transformers must be told beside them."""

import shutil
from pathlib import Path

from taixue.base import UserError, files
from taixue.data_tools.tokenizer import sentencepiece
from taixue.data_tools.tokenizer.store import Tokenizer

from .hf_folder import read_json, write_json
from .proof import ReadOtherwise, verify_tokenizer

SETTINGS = "tokenizer_config.json"
FILES = (
    "taixue_tokenizer.json",
    "tokenizer.json",
    SETTINGS,
    "special_tokens_map.json",
    "added_tokens.json",
    "spiece.model",
    "vocab.txt",
)
_CLASSES = {"t5": "T5Tokenizer", "bert": "BertTokenizer"}


def copy_tokenizer(source: Path, target: Path) -> None:
    """Copy what a tokenizer is made of, and nothing else. Raises UserError when there is nothing."""
    names = [name for name in FILES if (source / name).is_file()]
    if not names:
        raise UserError(f"{source}: no tokenizer; expected one of {', '.join(FILES)}")
    for name in names:
        shutil.copyfile(source / name, target / name)


def complete(source: Path, folder: Path, kind: str, longest: int | None) -> None:
    """Say in tokenizer_config.json of `folder`, a copy of `source`, which class AutoTokenizer is to take, which it else
    asks config.json for, and how much the model can read.

    kind: of tokenizer. longest: tokens, None: any number.
    """
    model = read_json(source / "config.json") if (source / "config.json").is_file() else {}
    path = folder / SETTINGS
    found = read_json(path) if path.is_file() else {}
    settings = {"tokenizer_class": model.get("tokenizer_class") or _CLASSES[kind]} | found
    if longest is not None:
        said = found.get("model_max_length")
        settings["model_max_length"] = min(said, longest) if isinstance(said, int) and said > 0 else longest
    if settings != found:
        write_json(settings, path)


def agree(source: Path, folder: Path, tokenizer: Tokenizer) -> str:
    """See to it that transformers reads the files of `folder`, a copy of `source`, as `tokenizer` does; why they were
    changed, if they were.

    transformers makes a tokenizer of its own of spiece.model: without byte fallback, mT5's sentinels are no sentinels
    to it, UMT5's it does not read at all. Models were trained on what sentencepiece says, which a tokenizer.json can
    say, too. Raises UserError where there is one already, or that does not help.
    """
    try:
        verify_tokenizer(folder, tokenizer)
    except ReadOtherwise as error:
        why = str(error).replace(str(folder), str(source))
        if not (folder / sentencepiece.MODEL_FILE).is_file():
            raise UserError(why) from None
        if (folder / "tokenizer.json").is_file():
            raise UserError(
                f"{why}\nspiece.model, which taixue reads, and tokenizer.json, which transformers reads, differ: "
                "remove from a copy of the folder the one that the model was not trained with; without tokenizer.json "
                "taixue writes one that is read as spiece.model is"
            ) from None
        _rebuild(folder, tokenizer)
        verify_tokenizer(folder, tokenizer)
        return why
    return ""


def _rebuild(folder: Path, tokenizer: Tokenizer) -> None:
    """Write a tokenizer.json that cuts text as sentencepiece does, from the spiece.model that is there."""
    content = (folder / sentencepiece.MODEL_FILE).read_bytes()
    names = [f"<extra_id_{k}>" for k in range(len(tokenizer.sentinel_ids))]
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",  # T5Tokenizer makes its own
        "extra_ids": len(names),
        "pad_token": tokenizer.pieces([tokenizer.pad_id])[0],
        "eos_token": tokenizer.pieces([tokenizer.eos_id])[0],
        "unk_token": tokenizer.pieces([tokenizer.unk_id])[0],
        "additional_special_tokens": names,
    }
    if (folder / SETTINGS).is_file() and "model_max_length" in (found := read_json(folder / SETTINGS)):
        settings["model_max_length"] = found["model_max_length"]
    for name in ("special_tokens_map.json", "added_tokens.json"):
        (folder / name).unlink(missing_ok=True)
    files.write(folder / "tokenizer.json", sentencepiece.hub_tokenizer(content, len(names)))
    write_json(settings, folder / SETTINGS)
