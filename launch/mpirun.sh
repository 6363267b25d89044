#!/usr/bin/env bash
# A run under MPI: mpirun starts the ranks, torch does the communication.
#   NPROC=2 launch/mpirun.sh CONFIG [--section.key VALUE ...]
# On several machines add a host file and say where rank 0 listens:
#   MASTER_ADDR=node1 MASTER_PORT=29500 NPROC=16 MPIRUN_ARGS="--hostfile hosts --map-by ppr:8:node" \
#       launch/mpirun.sh CONFIG
set -euo pipefail

OPTIONS=()
if [ "$(id -u)" = 0 ]; then
    OPTIONS+=(--allow-run-as-root) # Open MPI refuses root unless told; in containers root is common
fi
for name in MASTER_ADDR MASTER_PORT OMP_NUM_THREADS; do
    if [ -n "${!name:-}" ]; then OPTIONS+=(-x "$name"); fi
done

# shellcheck disable=SC2086  # MPIRUN_ARGS is a list of words
exec mpirun -n "${NPROC:-2}" --bind-to none "${OPTIONS[@]}" ${MPIRUN_ARGS:-} \
    python -m taixue.pretrain.train "$@"
