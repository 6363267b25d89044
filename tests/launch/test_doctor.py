"""`taixue doctor` tells what is there and survives every kind of broken part."""

import pytest

from taixue.launch import doctor


def test_this_machine(capsys: pytest.CaptureFixture[str]) -> None:
    assert doctor.report()
    out = capsys.readouterr().out
    for probe in doctor.PROBES:
        assert probe.name in out


@pytest.mark.parametrize(
    "failure", [ImportError("no"), OSError("libfoo.so: cannot open"), RuntimeError(), AttributeError("x")]
)
def test_a_broken_part_is_a_line(
    failure: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def find() -> str:
        raise failure

    probes = (
        doctor.Probe("optional", "nothing", "get it [here]", find),
        doctor.Probe("needed", "everything", "", find, required=True),
    )
    monkeypatch.setattr(doctor, "PROBES", probes[:1])
    assert doctor.report()
    monkeypatch.setattr(doctor, "PROBES", probes)
    assert not doctor.report()
    assert "[here]" in capsys.readouterr().out


def test_each_extension_is_told_with_its_cost(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    probes = [probe for probe in doctor.PROBES if probe.name.startswith("C++")]
    assert len(probes) == 2
    monkeypatch.setattr(doctor, "PROBES", probes)
    monkeypatch.setattr(doctor, "_kernels", lambda: "")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("TAIXUE_NATIVE", "off")
    assert doctor.report()
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("C++ of")]
    assert [line.split()[2] for line in lines] == ["data_tools", "objectives"]
    for line in lines:
        assert "broken: TAIXUE_NATIVE=off" in line
        assert "plain Python does it, 10 to 200 times slower" in line
