"""Configurations refuse what is not theirs; the folder needs no torch."""

import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from taixue import UserError
from taixue.base.load import load
from taixue.data_tools.config import CorpusBuildConfig, TokenizerTrainConfig


def test_unknown_keys_and_empty_lists_are_errors() -> None:
    with pytest.raises(ValidationError, match="vocab_sise"):
        TokenizerTrainConfig.model_validate({"inputs": ["a"], "output": "b", "vocab_sise": 3})
    with pytest.raises(ValidationError, match="inputs"):
        TokenizerTrainConfig.model_validate({"inputs": [], "output": "b"})
    source = {"name": "web", "inputs": ["a"]}
    with pytest.raises(ValidationError, match="two sources are called web"):
        CorpusBuildConfig.model_validate({"tokenizer": "t", "output": "o", "sources": [source, source]})
    with pytest.raises(ValidationError, match="name"):
        CorpusBuildConfig.model_validate(
            {"tokenizer": "t", "output": "o", "sources": [source | {"name": "../web"}]}
        )


SOURCE = "{name: a, inputs: [a.txt]"


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (
            f"sources: [{SOURCE}, filter: {{}}}}]",
            "sources.0.filter: unknown key; did you mean sources.0.filters?",
        ),
        (
            f"sources: [{SOURCE}, filters: {{preset: [c4]}}}}]",
            "sources.0.filters.preset: unknown key; did you mean sources.0.filters.presets?",
        ),
        (
            f"sources: [{SOURCE}, filters: c4}}]",
            "sources.0.filters: should be a section with the keys presets, rules, line_rules, languages, ngram,",
        ),
        (
            f"sources: [{SOURCE}, normalize: {{html: maybe}}}}]",
            "sources.0.normalize.html: should be a valid boolean, unable to interpret input; was given 'maybe'",
        ),
        (
            "sources: [{name: a, inputs: a.txt}]",
            "sources.0.inputs: should be a list: [...], was given 'a.txt'",
        ),
        ("sources: []", "sources: should have at least 1 item, has 0"),
        (
            f"sources: [{SOURCE}, text_field: '{{a'}}]",
            "sources.0.text_field: text_field '{a': expected '}' before end of string",
        ),
        (
            f"sources: [{SOURCE}}}]\nfilters: {{rules: [{{name: x, measure: bytes, minimum: 9, maximum: 3}}]}}",
            "filters.rules.0: rule 'x': minimum 9 is above maximum 3: it removes everything",
        ),
        (
            f"sources: [{SOURCE}}}]\ndeduplicate:\n",
            "c.yaml:4: nothing stands behind 'deduplicate': write {} for a section's defaults, null for none",
        ),
    ],
)
def test_a_mistake_is_one_line_that_says_where(tmp_path: Path, lines: str, says: str) -> None:
    (tmp_path / "c.yaml").write_text(f"tokenizer: t\noutput: o\n{lines}\n")
    with pytest.raises(UserError) as raised:
        load(CorpusBuildConfig, tmp_path / "c.yaml")
    said = str(raised.value)
    assert says in said
    assert said.count("\n") == 0


def test_an_explicit_null_and_empty_sections_are_legal(tmp_path: Path) -> None:
    text = f"tokenizer: t\noutput: o\nsources: [{SOURCE}}}]\ndeduplicate: {{}}\nannotate: null\n"
    (tmp_path / "c.yaml").write_text(text)
    config = load(CorpusBuildConfig, tmp_path / "c.yaml")
    assert (config.deduplicate is None, config.annotate is None) == (False, True)


def test_nothing_imports_torch() -> None:
    code = (
        "import sys, taixue.data_tools.build.builder, taixue.data_tools.shards.corpus, taixue.pretrain.data.preview;"
        "from taixue.data_tools.tokenizer import sentencepiece, wordpiece;"
        "assert not {'torch', 'transformers', 'sentencepiece', 'tokenizers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
