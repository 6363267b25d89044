"""The preview prints what the objective made, with every sentinel and mask."""

from pathlib import Path

import pytest

from taixue.pretrain.config.schema import BertConfig, DataConfig, MlmConfig, RunConfig, SourceConfig
from taixue.pretrain.data.preview import preview

from ...data_tools.texts import make_corpus, make_texts


def test_t5(run: RunConfig, capsys: pytest.CaptureFixture[str]) -> None:
    preview(run, 3)
    shown = capsys.readouterr().out
    assert "windows of 34 tokens" in shown
    assert "sample 2 from" in shown
    assert shown.count("<extra_id_0>") == 6  # once in the input, once in the target
    assert "input, 32 tokens" in shown
    assert "target, 8 tokens" in shown


@pytest.mark.parametrize("sentence_order", [True, False])
def test_bert(
    sentence_order: bool, tmp_path: Path, bert_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus = make_corpus(tmp_path / "corpus", bert_folder, {"a": make_texts(50)})
    run = RunConfig(
        model=BertConfig(vocab_size=400),
        data=DataConfig(tokenizer=str(bert_folder), sources=(SourceConfig(corpus=str(corpus)),)),
        objective=MlmConfig(input_length=64, sentence_order=sentence_order),
    )
    preview(run, 2)
    shown = capsys.readouterr().out
    assert shown.count("[CLS]") == 2
    assert "[MASK]" in shown
    assert ("segments" in shown) == sentence_order
