"""`taixue corpus build`: the passes it needs, done by local processes on any number of ranks."""
