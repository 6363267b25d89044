"""Plain Python twins: the specification of the C++ code, and what runs where no compiler was."""
