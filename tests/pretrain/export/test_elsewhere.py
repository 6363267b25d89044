"""What docs/exports.md does with exported folders, run as it stands there: Trainer, resizing, CTranslate2, ONNX.

Each needs packages that Taixue does not; without them it is skipped.
"""

import re
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
import transformers

from taixue.pretrain.export import to_hf

from .conftest import BERT, T5_V1_1, run_config, save_run

Tokenizers = dict[str, Path]
PAGE = Path(__file__).parents[3] / "docs/exports.md"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.S)


@pytest.fixture
def exported(tmp_path: Path, tokenizers: Tokenizers, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with runs/t5/hf and runs/bert/hf, where one is."""
    shallow = T5_V1_1.model_copy(update={"num_decoder_layers": 2, "vocab_size": 300})
    for kind, config in (("t5", shallow), ("bert", BERT)):
        run = save_run(tmp_path / f"runs/{kind}", run_config(config, tokenizers[kind]))
        to_hf(run, tmp_path / f"runs/{kind}/hf")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def needs(*packages: str) -> pytest.MarkDecorator:
    missing = [package for package in packages if find_spec(package) is None]
    return pytest.mark.skipif(bool(missing), reason=f"needs {', '.join(missing)}, which Taixue does not")


def run_block(word: str) -> dict[str, object]:
    """Run the page's only block with that word; the names it defines."""
    (block,) = (block for block in BLOCKS if word in block)
    names: dict[str, object] = {}
    exec(block, names)
    return names


@needs("accelerate")
def test_trainer(exported: Path) -> None:
    names = run_block("Trainer(")
    data = names["data"]
    assert isinstance(data, list)
    assert len(data[0]["input_ids"]) == BERT.max_positions
    again = transformers.AutoModelForSequenceClassification.from_pretrained(exported / "tuned")
    model = names["model"]
    assert isinstance(model, torch.nn.Module)
    assert all(torch.equal(a, b) for a, b in zip(again.parameters(), model.parameters(), strict=True))


def test_two_matrices_stay_two(exported: Path) -> None:
    before = transformers.AutoModelForSeq2SeqLM.from_pretrained(exported / "runs/t5/hf").eval()
    run_block("resize_token_embeddings")
    after = transformers.AutoModelForSeq2SeqLM.from_pretrained(exported / "resized").eval()
    assert after.lm_head.weight.shape[0] == 364
    assert torch.equal(after.lm_head.weight[:300], before.lm_head.weight)
    assert torch.equal(after.shared.weight[:300], before.shared.weight)
    ids = torch.arange(3, 30)[None]
    with torch.no_grad():
        logits = [model(input_ids=ids, decoder_input_ids=ids[:, :5]).logits for model in (before, after)]
    torch.testing.assert_close(logits[1][..., :300], logits[0])


@needs("ctranslate2")
def test_ctranslate2(exported: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = run_block("ctranslate2")
    import ctranslate2

    model = transformers.AutoModelForSeq2SeqLM.from_pretrained(exported / "runs/t5/hf").eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(exported / "runs/t5/hf")
    inputs = tokenizer("今天天气很<extra_id_0>。", return_tensors="pt")
    expected = model.generate(**inputs, max_new_tokens=8, do_sample=False, num_beams=1)[0, 1:]
    found = ctranslate2.Translator(str(exported / "ct2")).translate_batch(
        [names["source"]], max_decoding_length=8, beam_size=1
    )
    assert found[0].hypotheses[0] == [t for t in tokenizer.convert_ids_to_tokens(expected) if t != "</s>"]
    assert capsys.readouterr().out.strip()


@needs("onnx", "onnxscript", "onnxruntime")
def test_onnx(exported: Path) -> None:
    run_block("torch.onnx.export")
    import onnxruntime

    model = transformers.AutoModelForMaskedLM.from_pretrained(exported / "runs/bert/hf").eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(exported / "runs/bert/hf")
    batch = tokenizer(["春天读书", "秋天写字写字", "河流山川"], padding=True, return_tensors="pt")
    inputs = {name: tensor.numpy() for name, tensor in batch.items()}
    (found,) = onnxruntime.InferenceSession(exported / "bert.onnx").run(None, inputs)
    with torch.no_grad():
        torch.testing.assert_close(torch.from_numpy(found), model(**batch).logits, atol=1e-4, rtol=1e-4)
