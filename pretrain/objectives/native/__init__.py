"""Hot loops of masking in C++ (units.h, module.cc), their plain twins (plain/), and the door to both (masking.py)."""
