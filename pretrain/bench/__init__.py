"""`taixue bench ...`: speed beside rivals, measured in one run on one machine."""
