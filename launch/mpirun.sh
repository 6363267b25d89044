#!/usr/bin/env bash
# A run under MPI: mpirun starts the ranks, torch does the communication.
#   NPROC=2 launch/mpirun.sh CONFIG [--section.key VALUE ...]
# On several machines add a host file and say where rank 0 listens:
#   MASTER_ADDR=node1 MASTER_PORT=29500 NPROC=16 MPIRUN_ARGS="--hostfile hosts --map-by ppr:8:node" \
#       launch/mpirun.sh CONFIG
# With a script of your own (docs/extending.md): launch/mpirun.sh my_run.py CONFIG
set -euo pipefail

# torch's allocator grows memory in place and leaves no gaps, unless told otherwise.
export PYTORCH_ALLOC_CONF=${PYTORCH_ALLOC_CONF:-${PYTORCH_CUDA_ALLOC_CONF:-expandable_segments:True}}

# What ranks run: Taixue, or a script that registers kinds of its own and calls taixue.main().
PROGRAM=(-m taixue.pretrain.train)
if [[ "${1:-}" == *.py ]]; then
    PROGRAM=("$1" train)
    shift
fi

OPTIONS=()
if [ "$(id -u)" = 0 ]; then
    OPTIONS+=(--allow-run-as-root) # Open MPI refuses root unless told; in containers root is common
fi
for name in MASTER_ADDR MASTER_PORT OMP_NUM_THREADS PYTORCH_ALLOC_CONF; do
    if [ -n "${!name:-}" ]; then OPTIONS+=(-x "$name"); fi
done

# shellcheck disable=SC2086  # MPIRUN_ARGS is a list of words
exec mpirun -n "${NPROC:-2}" --bind-to none "${OPTIONS[@]}" ${MPIRUN_ARGS:-} \
    python "${PROGRAM[@]}" "$@"
