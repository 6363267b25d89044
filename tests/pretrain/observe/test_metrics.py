"""Metrics: documented names, consistent speeds, a FLOP count that torch's own counter agrees with."""

import time

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from taixue.pretrain.config.schema import BertConfig, T5Config
from taixue.pretrain.models import FAMILIES, build_model, model_spec
from taixue.pretrain.models.albert.config import AlbertConfig
from taixue.pretrain.observe import METRICS, Meter
from taixue.pretrain.observe.peak import lookup


def meter(**changes: object) -> Meter:
    values: dict = {"batch_size": 8, "raw_length": 100, "forward_flops": 1e12, "world": 2}
    return Meter(**(values | {"device": torch.device("cpu"), "precision": "bf16"} | changes))


def test_every_name_is_documented() -> None:
    report = meter().report(3)
    assert report.keys() <= METRICS.keys()
    assert "mfu" not in report


def test_speeds_come_from_the_steps_since_the_last_report(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 10.0, 11.0, 12.0, 14.0, 100.0, 101.0, 102.0, 104.0])
    monkeypatch.setattr("taixue.pretrain.observe.metrics.perf_counter", lambda: next(clock))
    monkeypatch.setattr("taixue.pretrain.observe.metrics.peak_flops", lambda *_: 1e13)
    timed = meter(_began=next(clock))
    for _ in range(2):
        timed.begin()
        with timed.waiting("data_wait"):
            pass
        timed.end()
    report = timed.report(5)
    assert report["step_seconds"] == 4.0
    assert report["data_wait"] == 1.0
    assert report["samples_per_second"] == 2.0
    assert report["tokens_per_second"] == 200.0
    assert report["tokens"] == 5 * 8 * 100
    assert report["mfu"] == pytest.approx(3 * 1e12 * 2.0 / (1e13 * 2))
    assert 0 < report["memory"] < 1000
    with timed.waiting("report_wait"):
        pass  # between steps: not part of one, the clock is not even read


def test_times_never_fall(monkeypatch: pytest.MonkeyPatch) -> None:
    timed = meter()
    assert abs(timed.now() - time.time()) < 10
    monkeypatch.setattr("time.time", lambda: 0.0)  # whatever is done to the clock
    times = [timed.now() for _ in range(1000)]
    assert times == sorted(times)
    assert times[0] > 1e9


@pytest.mark.parametrize(
    ("name", "precision", "tflops"),
    [
        ("NVIDIA H100 80GB HBM3", "bf16", 989.4),
        ("NVIDIA H100 PCIe", "bf16", 756),
        ("NVIDIA H200", "fp16", 989.4),
        ("NVIDIA H20", "bf16", 148),
        ("NVIDIA A100-SXM4-80GB", "bf16", 312),
        ("Tesla V100-SXM2-32GB", "bf16", None),
        ("NVIDIA A1000", "bf16", None),
    ],
)
def test_devices_are_known_by_whole_words(name: str, precision: str, tflops: float | None) -> None:
    assert lookup(name, precision) == (None if tflops is None else pytest.approx(tflops * 1e12))


T5 = T5Config(
    vocab_size=64, d_model=16, d_kv=4, d_ff=24, num_heads=3, num_encoder_layers=2, num_decoder_layers=3
)
BERT = BertConfig(vocab_size=64, d_model=16, d_ff=24, num_heads=2, num_layers=2)
ALBERT = AlbertConfig(vocab_size=64, embedding_size=6, d_model=16, d_ff=24, num_heads=2, num_layers=3)


@pytest.mark.parametrize(
    "config", [T5, T5.model_copy(update={"ffn": "relu", "tie_embeddings": True}), BERT, ALBERT]
)
def test_forward_flops_are_what_torch_counts(config: T5Config | BertConfig) -> None:
    lengths = (12, 7)
    batch = FAMILIES.of(config).probe(config, 2, 0, lengths)
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad(), torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        build_model(config)(**batch)
    expected = 2 * sum(model_spec(config, 0, lengths).layer_costs)
    assert counter.get_total_flops() == pytest.approx(expected, rel=0.02)
