"""Where every random number of a dropout comes from: an address, and no state.

The contract. Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3") maps a key of two 32-bit
words and a counter of four to four random words. Element (sample, head, row, column) of a site is dropped where its
word is below round(p 2^32):

  key      seed, step
  counter  head 2^22 + column // 4, row, sample, site
  word     column % 4

all modulo 2^32 (columns below 2^24, heads below 2^10: no two elements of a site share a word). These are coordinates
in the whole model and the whole step, never in a shard or a micro-batch:

  seed     of the run                 step   of the optimizer; whoever runs the steps writes both
  site     `site(name)` of the place in the model, by its global name, the same on every pipeline stage
  sample   number of the batch's row within the step, over all data-parallel ranks and micro-batches; `samples` travels
           with the batch like any other of its tensors. A layer that is applied again, with the same parameters,
           counts on from 2^24 times the number of times before (batches below 2^24 samples)
  row      position in the sequence; a sequence shard says where it starts (first_row)
  column   feature; a tensor-parallel shard of hidden units says where it starts (first_column). Attention: the key
  head     attention only; a tensor-parallel shard of heads says where it starts (first_head). Its row: the query

So a layout, the size of a micro-batch, a resumed run, a recomputed layer, a dtype and the choice between kernels and
their reference change no mask. The site is a number on the device, not of Python's: compiled layers differ in nothing
but tensors and share one program.
"""

import zlib
from dataclasses import dataclass

import torch
from torch import Tensor

COLUMNS, HEADS = 2**24, 2**10
"""More of either have no addresses."""

AGAIN = 2**24
"""From one application of a layer's parameters to the next."""


@dataclass(frozen=True, eq=False)
class Draws:
    """The random numbers of one dropout.

    p: probability with which an element is dropped, 0 <= p < 1; what is left is multiplied by 1 / (1 - p).
    stream: (3,) int64, seed, step and site; may be rewritten in place between steps. samples: (B,) int64.
    """

    p: float
    stream: Tensor
    samples: Tensor
    first_row: int = 0
    first_column: int = 0
    first_head: int = 0

    @classmethod
    def unplaced(cls, dropout: "Draws | float | None", x: Tensor) -> "Draws | None":
        """For callers that give a probability and no addresses: seeds of torch's generator, never read by the host."""
        if not isinstance(dropout, float):
            return dropout
        if dropout == 0.0:
            return None
        return cls(
            dropout,
            torch.randint(2**62, (3,), device=x.device),
            torch.arange(x.shape[0], device=x.device),
        )

    def check(self, x: Tensor, *, whole_rows: bool = True) -> None:
        """Raises ValueError where these cannot be the draws for x (B, ...). whole_rows: columns start at 0."""
        if not 0.0 <= self.p < 1.0:
            raise ValueError(f"dropout {self.p}: must be at least 0 and below 1")
        shapes = f"stream {tuple(self.stream.shape)}, samples {tuple(self.samples.shape)}"
        if self.stream.shape != (3,) or self.samples.shape != x.shape[:1]:
            raise ValueError(f"{shapes}: must be (3,) and ({x.shape[0]},) for x {tuple(x.shape)}")
        if self.stream.dtype != torch.int64 or self.samples.dtype != torch.int64:
            raise ValueError(f"stream {self.stream.dtype}, samples {self.samples.dtype}: must be int64")
        if not self.stream.device == self.samples.device == x.device:
            raise ValueError(
                f"stream on {self.stream.device}, samples on {self.samples.device}, x on {x.device}"
            )
        if min(self.first_row, self.first_column, self.first_head) < 0 or (whole_rows and self.first_column):
            raise ValueError(
                f"{self.first_row=}, {self.first_column=}, {self.first_head=}: no such place in x"
            )
        if self.first_column + x.shape[-1] > COLUMNS:
            raise ValueError(f"{self.first_column + x.shape[-1]} columns: dropout addresses up to {COLUMNS}")


def threshold(p: float) -> int:
    """The least word that keeps its element; 0 where nothing is dropped."""
    return min(round(p * 2**32), 2**32 - 1)


def site(name: str) -> int:
    """Number of the place with this global name ("encoder.layers.3.ffn.hidden"): CRC-32 of its UTF-8."""
    return zlib.crc32(name.encode())
