"""Launches and waits are counted right on work whose counts are known; the host bench runs on a small model."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from taixue.kernels import norm
from taixue.launch.cli import main
from taixue.pretrain.bench.counting import Waits, launches
from taixue.pretrain.bench.host import predicted
from taixue.pretrain.bench.training import CASES, preset_case

pytest.importorskip("triton")


def test_launches_are_kernels_and_operators_that_compute() -> None:
    x, weight = torch.ones(4, 8), torch.ones(8, requires_grad=True)

    def work() -> None:
        y = torch.empty(2, 16).view(4, 8).transpose(0, 1)  # nothing
        z = x @ y  # a product
        norm.rms_norm((z + z).reshape(2, 8), weight, 1e-6)  # an addition, a kernel of ours
        x.to(torch.float64).to(torch.float64)  # one copy

    counted = launches(work)
    assert counted == {"aten::mm": 1, "aten::add": 1, "norm_forward": 1, "aten::copy_": 1}


def test_waits_are_reads_of_the_device_and_copies_to_it() -> None:
    device = torch.device("cpu")
    batch = np.arange(6)
    on_device = torch.ones(3, dtype=torch.float64, device=device)
    with Waits([batch]) as waits:
        on_host = torch.from_numpy(batch)
        assert int((on_host != 2).sum()) == 5  # the host's own
        moved = on_host.to(device, non_blocking=True)  # waits for nothing
        factor = torch.tensor(2.0)
        assert factor.item() == 2.0
        assert bool((on_device * factor).sum() > 0)
        assert (on_device * moved.sum()).tolist()[1] == 15.0
        torch.tensor([1.0], device=device)
        factor.to(on_device)
    assert sorted(place.split(" ")[1] for place in waits.found) == [
        ".__bool__()",
        ".to(device)",
        ".tolist()",
        "torch.tensor(device=)",
    ]
    assert all("test_host.py" in place for place in waits.found)


def test_mfu_is_that_of_the_slower_side() -> None:
    large = preset_case(*CASES[0])
    assert predicted(large, 64, host=100.0) == pytest.approx(0.37, abs=0.01)  # the GPU's 255 ms count
    assert predicted(large, 16, host=231.0) == pytest.approx(0.10, abs=0.01)
    assert predicted(large, 16, host=462.0) == predicted(large, 16, host=231.0) / 2


def test_bench_host(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        main(
            ["bench", "host", "--layers", "1", "--repeat", "1", "--eager", "--json", str(tmp_path / "h.json")]
        )
        == 0
    )
    report = json.loads((tmp_path / "h.json").read_text())
    assert report["micro_batch"].keys() == report["mfu"].keys() == {"our ops", "reference"}
    assert min(*report["micro_batch"].values(), *report["parts"].values()) > 0
    assert report["step"] > report["micro_batch"]["our ops"] / 2
    for stack, attentions in (("encoder", 1), ("decoder", 2)):
        assert report["kernels"][f"{stack} forward"]["forward"] == attentions
        assert report["kernels"][f"{stack} backward"]["queries"] == attentions
        assert report["launches"][stack] == [
            sum(report["kernels"][f"{stack} {way}"].values()) for way in ("forward", "backward")
        ]
    assert sum(report["waits"].values()) >= 1
    assert "Kernel launches of one encoder layer" in capsys.readouterr().out
    assert main(["bench", "host", "--layers", "0"]) == 2
    assert "--layers 0; at least 1 is needed" in capsys.readouterr().err
