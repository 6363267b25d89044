"""Dynamic loss scaling for fp16: the loss is multiplied so that small gradients survive its range."""

from dataclasses import dataclass


@dataclass
class LossScaler:
    """Scale of the loss: halved when gradients overflow, doubled after `patience` good steps in a row.

    As in Micikevicius et al. 2018. scale and good_steps are its whole state. Every rank decides from the same
    global gradient norm, so no collective is needed.
    """

    scale: float = 2.0**16
    good_steps: int = 0
    patience: int = 2000

    def overflowed(self) -> None:
        """The step was skipped: try again with half the scale."""
        self.scale = self.scale / 2
        self.good_steps = 0

    def succeeded(self) -> None:
        """The step was applied."""
        self.good_steps += 1
        if self.good_steps == self.patience:
            self.scale, self.good_steps = self.scale * 2, 0
