"""The commands of `taixue`, by group."""
