#!/usr/bin/env bash
# One machine's ranks of a run, started by hand. On one machine:
#   launch/torchrun.sh CONFIG [--section.key VALUE ...]
# On N machines, the same command on each; HEAD is a host of the run that all can reach:
#   NNODES=2 HEAD=node1:29500 launch/torchrun.sh CONFIG
# With a script of your own (docs/extending.md): launch/torchrun.sh my_run.py CONFIG
# NPROC: ranks on this machine (default: its GPUs, or one).
set -euo pipefail

NNODES=${NNODES:-1}
HEAD=${HEAD:-localhost:0}
NPROC=${NPROC:-$(python -c 'import torch; print(max(1, torch.cuda.device_count()))')}

# torch's allocator grows memory in place and leaves no gaps, unless told otherwise.
export PYTORCH_ALLOC_CONF=${PYTORCH_ALLOC_CONF:-${PYTORCH_CUDA_ALLOC_CONF:-expandable_segments:True}}

# What ranks run: Taixue, or a script that registers kinds of its own and calls taixue.main().
PROGRAM=(-m taixue.pretrain.train)
if [[ "${1:-}" == *.py ]]; then
    PROGRAM=("$1" train)
    shift
fi

# SIGUSR1 and SIGUSR2 are not forwarded unless listed; ranks get 600 s to save before they are killed.
exec python -m taixue.launch.agent \
    --nnodes "$NNODES" --nproc-per-node "$NPROC" \
    --rdzv-backend c10d --rdzv-endpoint "$HEAD" --rdzv-id "${RUN_ID:-taixue}" \
    --signals-to-handle SIGTERM,SIGINT,SIGHUP,SIGQUIT,SIGUSR1,SIGUSR2 --shutdown-timeout 600 \
    "${PROGRAM[@]}" "$@"
