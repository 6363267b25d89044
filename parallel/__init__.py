"""Where it runs: ranks, mesh, tensor / pipeline / sharded-data parallelism. Knows no model: a spec is handed in."""
