#!/usr/bin/env bash
# From raw Chinese text to a T5 that transformers loads; everything it makes is in runs/demo. Run by `make demo`.
set -euo pipefail
cd "$(dirname "$0")/.."

OUT=runs/demo
rm -rf "$OUT"

step() { printf '\n\033[1m$ %s\033[0m\n' "$*"; "$@"; }

step taixue tokenizer train corpus/demo-tokenizer
step taixue corpus build corpus/demo
step taixue train run/t5-tiny-demo
step taixue export "$OUT/t5-tiny" "$OUT/hf"
step python -m taixue.launch.demo "$OUT/t5-tiny" "$OUT/hf"
