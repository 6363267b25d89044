#!/usr/bin/env bash
# On a GPU machine without a network: installs the wheels beside this file, into a folder of its own, and starts the
# acceptance run. PYTHON: the interpreter that has torch (default: python3). OUT: where results go (default: runs/bench).
# Arguments go to `taixue bench gpu`; with --install nothing is started.
set -euo pipefail
HERE=$(cd "$(dirname "$0")" && pwd)
PYTHON=${PYTHON:-python3}
SITE=${SITE:-$HERE/site}

# Into a folder that comes first on the path: what the machine has stays as it is.
if [ ! -e "$SITE/.ready" ]; then
    "$PYTHON" -m pip install -q --no-index --no-deps --no-compile --upgrade --target "$SITE" "$HERE"/wheels/*.whl
    touch "$SITE/.ready"
fi
export PYTHONPATH=$SITE${PYTHONPATH:+:$PYTHONPATH}
[ "${1:-}" = --install ] && exit 0

export PYTORCH_CUDA_ALLOC_CONF=${PYTORCH_CUDA_ALLOC_CONF:-expandable_segments:True} HF_HUB_OFFLINE=1
cd "${WORK:-$HERE}"
exec "$PYTHON" -m taixue.launch.cli bench gpu --demo "$HERE/demo" --out "${OUT:-runs/bench}" "$@"
