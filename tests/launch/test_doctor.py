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
