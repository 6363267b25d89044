"""The printed curve of the demo."""

import json
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from taixue.launch.demo import curve, read_losses


@given(st.lists(st.floats(0.01, 20), min_size=1, max_size=100), st.integers(1, 20))
def test_curve_shows_first_and_last(losses: list[float], lines: int) -> None:
    rows = curve(list(enumerate(losses)), lines).splitlines()
    assert len(rows) == min(lines, len(losses))
    assert rows[0].split()[1] == "0"
    if lines > 1:
        assert rows[-1].split()[1] == str(len(losses) - 1)


def test_only_training_lines_count(tmp_path: Path) -> None:
    rows = [
        {"step": 1, "loss": 8.5, "lr": 0.1},
        {"step": 1, "validation": {"sample": 8.0}},
        {"step": 2, "loss": None},
        {"step": 2, "loss": 8.0},
    ]
    (tmp_path / "metrics.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
    assert read_losses(tmp_path / "metrics.jsonl") == [(1, 8.5), (2, 8.0)]
