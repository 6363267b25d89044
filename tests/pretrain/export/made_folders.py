"""Hugging Face folders of every form that is met, made with transformers: what is in them, and what becomes of them."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import transformers as hf
from torch import Tensor
from transformers import PreTrainedModel

Tokenizers = dict[str, Path]
Change = Callable[[dict[str, Tensor]], dict[str, Tensor]]

_T5 = {
    "vocab_size": 640, "d_model": 32, "d_kv": 8, "d_ff": 48, "num_heads": 4, "num_layers": 2,
    "decoder_start_token_id": 0,
}  # fmt: skip
_V1_1 = _T5 | {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}
_BERT = {
    "vocab_size": 640, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48,
    "max_position_embeddings": 64,
}  # fmt: skip
_ALBERT = _BERT | {"embedding_size": 12, "num_hidden_layers": 3}


@dataclass(frozen=True)
class Folder:
    """One folder. model: class of transformers; config: what it is made with; form: of the weights, see `_write`;
    change: of the tensors before they are written; json: of config.json (None: the key goes); tokenizer: see
    `_tokenizer`; refused: pattern of the reason, if it is; fresh: parts of ours that start anew; left: names left
    behind; says: pattern of what import prints."""

    model: str
    config: dict[str, Any] = field(default_factory=dict)
    form: str = "safetensors"
    change: Change = lambda tensors: tensors
    json: dict[str, Any] = field(default_factory=dict)
    tokenizer: str = "whole"
    refused: str = ""
    fresh: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    says: str = ""

    @property
    def has_head(self) -> bool:
        """Whether it computes what our model computes."""
        return self.model.endswith(("ForConditionalGeneration", "ForMaskedLM", "ForPreTraining"))

    def write(self, folder: Path, tokenizers: Tokenizers) -> PreTrainedModel:
        """Make it; the model, with the weights as they were written."""
        torch.manual_seed(3)
        made = getattr(hf, self.model)
        model: PreTrainedModel = made(made.config_class(**self.config))
        if self.config.get("tie_word_embeddings") is False and "no head" not in self.form:
            model.lm_head.weight = torch.nn.Parameter(torch.randn(640, 32))
        kind = "t5" if hasattr(model.config, "d_kv") else "bert"
        model.eval().save_pretrained(folder)
        shutil.rmtree(folder / "tokenizer", ignore_errors=True)
        _write(model, folder, self.form, self.change)
        values = json.loads((folder / "config.json").read_text()) | self.json
        if (
            kind == "t5"
            and self.config.get("tie_word_embeddings") is False
            and "tie_word_embeddings" not in self.json
        ):
            values |= {"tie_word_embeddings": False}
        (folder / "config.json").write_text(json.dumps({k: v for k, v in values.items() if v is not None}))
        _tokenizer(folder, tokenizers, kind, self.tokenizer)
        return model


def _write(model: PreTrainedModel, folder: Path, form: str, change: Change) -> None:
    """form: words of "safetensors", "zip" (PyTorch 1.6 and later), "legacy", with "sharded", "fp16", "bf16"."""
    dtype = torch.float16 if "fp16" in form else torch.bfloat16 if "bf16" in form else torch.float32
    model.to(dtype)
    if "zip" not in form and "legacy" not in form:
        model.save_pretrained(folder, max_shard_size="40KB" if "sharded" in form else "1GB")
        if form != "safetensors" and "sharded" in form:
            (folder / "model.safetensors").unlink()
        model.float()
        return
    (folder / "model.safetensors").unlink()
    tensors = change({name: tensor.clone() for name, tensor in model.state_dict().items()})
    options = {"_use_new_zipfile_serialization": "zip" in form}
    if "sharded" in form:
        names = sorted(tensors)
        parts = {
            "pytorch_model-00001-of-00002.bin": names[::2],
            "pytorch_model-00002-of-00002.bin": names[1::2],
        }
        for file, own in parts.items():
            torch.save({name: tensors[name] for name in own}, folder / file, **options)
        index = {"metadata": {}, "weight_map": {name: file for file, own in parts.items() for name in own}}
        (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    else:
        torch.save(tensors, folder / "pytorch_model.bin", **options)
    model.float()


def _tokenizer(folder: Path, tokenizers: Tokenizers, kind: str, form: str) -> None:
    """form: "whole" as Taixue writes it, "vocabulary" that file alone, "4.x" with the settings of transformers 4,
    "blank" with blank last lines, "json" tokenizer.json alone, "bytes" as mT5's, "plain bytes" without its sentinels,
    "384" as UMT5's."""
    source = tokenizers[form if form in tokenizers else kind]
    name = "spiece.model" if kind == "t5" else "vocab.txt"
    if form == "whole":
        for path in source.glob("*token*.json"):
            shutil.copy(path, folder)
    if form == "json":
        shutil.copy(source / "tokenizer.json", folder)
    else:
        shutil.copy(source / name, folder)
    settings: dict[str, Any] = {
        "bytes": {"extra_ids": 0},
        "plain bytes": {"extra_ids": 20},
        "384": {"extra_ids": 84},
    }.get(form, {})
    if form == "4.x":
        (folder / "special_tokens_map.json").write_text(
            json.dumps(
                {"eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
                if kind == "t5"
                else {
                    "unk_token": "[UNK]",
                    "sep_token": "[SEP]",
                    "pad_token": "[PAD]",
                    "mask_token": "[MASK]",
                }
            )
        )
        if kind == "bert":
            (folder / "added_tokens.json").write_text("{}")
        settings = (
            {"init_inputs": []} if kind == "bert" else {"tokenizer_class": "T5Tokenizer", "extra_ids": 100}
        )
    if form == "blank":
        with (folder / name).open("a") as file:
            file.write("\n\n")
    if settings:
        (folder / "tokenizer_config.json").write_text(json.dumps(settings))


def only(copy: str, original: str) -> Change:
    """The weight under the name of its copy alone."""

    def change(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        weight = tensors[original]
        return {name: tensor for name, tensor in tensors.items() if not torch.equal(tensor, weight)} | {
            copy: weight
        }

    return change


def without(*parts: str) -> Change:
    return lambda tensors: {n: t for n, t in tensors.items() if not n.startswith(parts)}


def published_t5(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """With the bias table of cross-attention that T5 never had."""
    return tensors | {
        "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight": torch.zeros(32, 4)
    }


def old_bert(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """As converted from TensorFlow: gamma and beta, a buffer of positions."""
    found = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
            "LayerNorm.bias", "LayerNorm.beta"
        ): tensor
        for name, tensor in tensors.items()
    }
    return found | {"bert.embeddings.position_ids": torch.arange(64)[None]}


T5_4X: dict[str, Any] = {
    "architectures": ["T5ForConditionalGeneration"], "torch_dtype": "float32", "dtype": None,
    "transformers_version": "4.18.0", "scale_decoder_outputs": None,
    "n_positions": 512, "output_past": True, "gradient_checkpointing": False,
    "initializer_factor": 0.5, "use_cache": True, "task_specific_params": {"summarization": {"num_beams": 4}},
}  # fmt: skip
BERT_4X: dict[str, Any] = {
    "torch_dtype": "float32", "dtype": None, "transformers_version": "4.6.0", "directionality": "bidi",
    "bos_token_id": 0, "eos_token_id": 2, "output_past": True, "pooler_fc_size": 768,
    "pooler_type": "first_token_transform", "initializer_range": 0.01, "tie_word_embeddings": None,
}  # fmt: skip
HEADS = ("lm_head", "mlm_transform", "sop_head")

_G, _E = "ForConditionalGeneration", "encoder.embed_tokens.weight"
_D, _S, _L = "decoder.embed_tokens.weight", "shared.weight", "lm_head.weight"
_BIAS = "cls.predictions.bias"
FOLDERS: dict[str, Folder] = {
    "t5-v1.0": Folder(f"T5{_G}", _T5),
    "t5-v1.0, zip, 4.x, every copy": Folder(f"T5{_G}", _T5, "zip", published_t5, T5_4X, "4.x"),
    "t5-v1.0, legacy": Folder(f"T5{_G}", _T5, "legacy", published_t5, T5_4X, "vocabulary"),
    "t5-v1.0, decoder.embed_tokens alone": Folder(f"T5{_G}", _T5, "zip", only(_D, _S)),
    "t5-v1.0, encoder.embed_tokens alone, legacy": Folder(f"T5{_G}", _T5, "legacy", only(_E, _S)),
    "t5-v1.0, lm_head alone": Folder(f"T5{_G}", _T5, "zip", only(_L, _S)),
    "t5-v1.0, fp16": Folder(f"T5{_G}", _T5, "fp16 safetensors"),
    "t5-v1.0, sharded": Folder(f"T5{_G}", _T5, "sharded safetensors"),
    "t5-v1.0, sharded zip": Folder(f"T5{_G}", _T5, "sharded zip", json=T5_4X),
    "t5-v1.0, T5WithLMHeadModel": Folder(
        f"T5{_G}", _T5, "legacy", json=T5_4X | {"architectures": ["T5WithLMHeadModel"], "num_decoder_layers": None,
        "feed_forward_proj": None, "is_gated_act": None, "dense_act_fn": None},
    ),
    "t5-v1.0, T5Model": Folder("T5Model", _T5),
    "t5-v1.1": Folder(f"T5{_G}", _V1_1),
    "t5-v1.1, tokenizer.json alone": Folder(f"T5{_G}", _V1_1, tokenizer="json"),
    "t5-v1.1, deeper encoder": Folder(f"T5{_G}", _V1_1 | {"num_layers": 3, "num_decoder_layers": 1}, json=T5_4X),
    "t5-v1.1, legacy, aliases alone": Folder(f"T5{_G}", _V1_1, "legacy", only(_D, _S), T5_4X),
    "t5-v1.1, bf16": Folder(f"T5{_G}", _V1_1, "bf16 safetensors"),
    "t5-v1.1, as 5.x ties it": Folder(f"T5{_G}", _V1_1, "safetensors, no head"),
    "t5-v1.1, T5Model": Folder("T5Model", _V1_1, "safetensors, no head"),
    "mengzi-t5": Folder(f"T5{_G}", _V1_1, "zip", json=T5_4X, tokenizer="vocabulary"),
    "mengzi-t5, sharded legacy": Folder(f"T5{_G}", _V1_1, "sharded legacy", json=T5_4X, tokenizer="vocabulary"),
    "flan-t5": Folder(f"T5{_G}", _V1_1 | {"dropout_rate": 0.0}, "fp16 zip", json=T5_4X, tokenizer="4.x"),
    "flan-t5, sharded": Folder(f"T5{_G}", _V1_1, "sharded safetensors", json={"n_positions": 512}, tokenizer="4.x"),
    "t5 classifier": Folder("T5ForSequenceClassification", _T5, left=("classification_head",), says="left behind"),
    "t5-v1.1 token classifier": Folder(
        "T5ForTokenClassification", _V1_1, "safetensors, no head", refused=r"(?s)decoder\..*missing.*T5ForConditional"
    ),
    "t5 encoder": Folder("T5EncoderModel", _T5, refused=r"(?s)decoder\..*missing.*T5ForConditionalGeneration"),
    "t5, gated-silu": Folder(
        f"T5{_G}", _V1_1 | {"feed_forward_proj": "gated-silu"}, refused="feed_forward_proj.*gated-silu.*gated-gelu"
    ),
    "t5, gelu": Folder(f"T5{_G}", _T5 | {"feed_forward_proj": "gelu"}, refused="feed_forward_proj is 'gelu'"),
    "t5, two activations": Folder(f"T5{_G}", _V1_1, json={"dense_act_fn": "silu"}, refused="dense_act_fn is 'silu'"),
    "t5, scaled and untied": Folder(
        f"T5{_G}", _V1_1, json={"tie_word_embeddings": True, "scale_decoder_outputs": True},
        refused='write "tie_word_embeddings": false',
    ),
    "mt5": Folder(f"MT5{_G}", _V1_1),
    "mt5, its vocabulary": Folder(f"MT5{_G}", _V1_1, "zip", json=T5_4X | {"architectures": [f"MT5{_G}"]},
                                  tokenizer="bytes", says="transformers tokenizes .* otherwise than taixue"),
    "mt5, bytes": Folder(
        f"MT5{_G}", _V1_1, tokenizer="plain bytes", says="transformers tokenizes .* otherwise than taixue"
    ),
    "mt5, legacy": Folder(f"MT5{_G}", _V1_1, "legacy", only(_E, _S), {"scale_decoder_outputs": None}),
    "mt5, sharded bf16": Folder(f"MT5{_G}", _V1_1, "sharded bf16 safetensors", tokenizer="4.x"),
    "umt5": Folder(f"UMT5{_G}", _V1_1),
    "umt5, its sentinels": Folder(f"UMT5{_G}", _V1_1, "zip", json={"scale_decoder_outputs": None}, tokenizer="384"),
    "umt5, aliases alone": Folder(f"UMT5{_G}", _V1_1, "legacy", only(_D, _S)),
    "umt5, tied": Folder(f"UMT5{_G}", _T5),
    "bert": Folder("BertForPreTraining", _BERT),
    "bert, legacy, gamma and beta": Folder("BertForPreTraining", _BERT, "legacy", old_bert, BERT_4X, "vocabulary"),
    "bert, no model_type": Folder("BertForPreTraining", _BERT, "legacy", old_bert, {"model_type": None}, "4.x"),
    "bert, blank last lines": Folder("BertForPreTraining", _BERT | {"vocab_size": 200}, tokenizer="blank"),
    "bert, tokenizer.json alone": Folder("BertForPreTraining", _BERT, "sharded zip", tokenizer="json"),
    "bert, one token type": Folder("BertForPreTraining", _BERT | {"type_vocab_size": 1}),
    "roberta-wwm": Folder("BertForMaskedLM", _BERT, "zip", json=BERT_4X, tokenizer="4.x", fresh=("pooler", "sop_head")),
    "macbert": Folder("BertForMaskedLM", _BERT, "legacy", json=BERT_4X, tokenizer="4.x", fresh=("pooler", "sop_head")),
    "macbert, decoder.bias alone": Folder(
        "BertForMaskedLM", _BERT, "zip", without(_BIAS), BERT_4X, fresh=("pooler", "sop_head")
    ),
    "bert masked lm, fp16": Folder("BertForMaskedLM", _BERT, "fp16 safetensors", fresh=("pooler", "sop_head")),
    "bert masked lm, sharded bf16": Folder(
        "BertForMaskedLM", _BERT, "sharded bf16 safetensors", fresh=("pooler", "sop_head")
    ),
    "sentence encoder": Folder("BertModel", _BERT, fresh=HEADS, says="will start untrained"),
    "sentence encoder, no pooler": Folder(
        "BertModel", _BERT, "fp16 zip", without("pooler"), fresh=(*HEADS, "pooler"), tokenizer="vocabulary"
    ),
    "bert classifier": Folder("BertForSequenceClassification", _BERT, fresh=HEADS, left=("classifier",)),
    "bert tagger": Folder(
        "BertForTokenClassification", _BERT, "legacy", fresh=(*HEADS, "pooler"), left=("classifier",)
    ),
    "bert reader": Folder("BertForQuestionAnswering", _BERT, fresh=(*HEADS, "pooler"), left=("qa_outputs",)),
    "bert next sentence": Folder("BertForNextSentencePrediction", _BERT, fresh=("lm_head", "mlm_transform")),
    "bert decoder": Folder(
        "BertForMaskedLM", _BERT, json={"is_decoder": True}, refused="is_decoder is True; legal: False"
    ),
    "bert, relative positions": Folder(
        "BertForMaskedLM", _BERT, json={"position_embedding_type": "relative_key"}, refused="relative_key.*legal"
    ),
    "bert, silu": Folder("BertForMaskedLM", _BERT | {"hidden_act": "silu"}, refused="hidden_act is 'silu'.*gelu_new"),
    "bert, half a head": Folder(
        "BertForMaskedLM", _BERT, "zip", without("cls.predictions.transform.dense"),
        refused=r"transform\.dense.*missing",
    ),
    "bert, few rows": Folder("BertForMaskedLM", _BERT | {"vocab_size": 150}, refused="200 ids, the embedding only 150"),
    "erlangshen": Folder("MegatronBertForPreTraining", _BERT, json=BERT_4X, tokenizer="vocabulary"),
    "erlangshen masked lm, legacy": Folder(
        "MegatronBertForMaskedLM", _BERT, "legacy", json=BERT_4X, fresh=("pooler", "sop_head")
    ),
    "erlangshen encoder": Folder("MegatronBertModel", _BERT, fresh=HEADS),
    "erlangshen classifier": Folder(
        "MegatronBertForSequenceClassification", _BERT, "fp16 zip", fresh=HEADS, left=("classifier",)
    ),
    "albert": Folder("AlbertForPreTraining", _ALBERT),
    "albert masked lm, legacy": Folder(
        "AlbertForMaskedLM", _ALBERT, "legacy", json=BERT_4X, tokenizer="vocabulary", fresh=("pooler", "sop_head")
    ),
    "albert encoder": Folder("AlbertModel", _ALBERT, fresh=HEADS),
    "albert classifier": Folder("AlbertForSequenceClassification", _ALBERT, fresh=HEADS, left=("classifier",)),
    "albert, two groups": Folder(
        "AlbertForPreTraining", _ALBERT | {"num_hidden_groups": 2}, refused="num_hidden_groups is 2, legal: 1"
    ),
    "roberta": Folder("RobertaForMaskedLM", _BERT, refused="model_type 'roberta'; legal: .*a family of its own"),
    "electra": Folder("ElectraForPreTraining", _BERT, refused="model_type 'electra'; legal: .*a family of its own"),
}  # fmt: skip
