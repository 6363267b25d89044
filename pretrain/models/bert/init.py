"""How large the initial weights of a BERT are."""


def initial_std(name: str, shape: tuple[int, ...]) -> float:
    """BERT's 0.02, but for the step of the relational decoder, which is applied again and again."""
    return shape[0] ** -0.5 if name == "relational.step.weight" else 0.02
