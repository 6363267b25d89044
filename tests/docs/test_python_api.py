"""The code of docs/python.md runs, from top to bottom, and does what the page says."""

import os
import re
import subprocess
import sys
from pathlib import Path

import orjson

ROOT = Path(__file__).parents[2]


def test_the_page_runs(tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs/python.md").read_text("utf-8"), re.DOTALL)
    script = tmp_path / "page.py"
    script.write_text("\n".join(blocks), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(script)],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    losses = [float(loss) for loss in re.findall(r"^\d (\d+\.\d+)$", done.stdout, re.MULTILINE)]
    assert len(losses) == 10
    assert losses[-1] < losses[0]
    records = (tmp_path / "runs/demo/t5-tiny/metrics.jsonl").read_bytes().splitlines()
    assert max(orjson.loads(record)["step"] for record in records) == 10
    difference = float(done.stdout.splitlines()[-1])
    assert 0 <= difference < 1e-4
    assert (tmp_path / "runs/demo/ten-steps/model.safetensors").is_file()
