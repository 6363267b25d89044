"""Who starts it: the `taixue` command, local ranks through torchrun, scripts for Slurm and MPI."""
