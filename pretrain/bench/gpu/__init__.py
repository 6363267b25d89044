"""`taixue bench gpu`: everything that only a GPU can tell, in a few minutes, by one command."""
