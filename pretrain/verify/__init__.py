"""`taixue verify`: any layout of ranks against one process."""
