#!/usr/bin/env bash
# Facts in Chinese sentences -> a T5 that transformers loads and that fills in facts; all it makes is in runs/demo of the
# working folder. Run by `make demo`.
set -euo pipefail

OUT=runs/demo
rm -rf "$OUT"

step() { printf '\n\033[1m$ %s\033[0m\n' "$*"; "$@"; }

step taixue corpus sample "$OUT/text"
step taixue tokenizer train corpus/demo-tokenizer
step taixue tokenizer extend "$OUT/vocabulary" "$OUT/tokenizer" --words "$OUT"/text/lexicons/*.txt
step taixue corpus build corpus/demo
step taixue train run/t5-tiny-demo
step taixue export "$OUT/t5-tiny" "$OUT/hf"
step python -m taixue.launch.demo "$OUT/t5-tiny" "$OUT/hf" "$OUT/text/blanks.jsonl"
