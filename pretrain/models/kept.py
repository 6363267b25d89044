"""What parts of a layer keep between forward and backward, in bytes. No torch here.

Counted are tensors that autograd holds, each storage once, without parameters and the batch itself, dropout off. Sizes
per sample and rank: with tensor parallelism t, a region's inside is split by t; its input is whole (it is gathered, and
kept so); norms and residuals are split by t where the sequence is sharded.

Letters: S tokens, D model width, I heads times head dim, F feed-forward width, H heads, T keys, e bytes of an element.
"""

from dataclasses import dataclass

from .family import Step


@dataclass(frozen=True)
class Kept:
    """Sizes for one way to run a step. The reference is meant in fp32 or float64: half precision keeps casts, too."""

    step: Step

    def residual(self, tokens: int, width: int) -> int:
        """One tensor (S, D) of the residual stream."""
        return self.whole(tokens, width) // (self.step.tp if self.step.sharded_sequence else 1)

    def whole(self, tokens: int, width: int) -> int:
        """One tensor (S, D) that every rank holds whole."""
        return self.step.samples * tokens * width * self.step.element_bytes

    def share(self, tokens: int, width: int) -> int:
        """One tensor (S, width) inside a region, of which a rank holds its part."""
        return self.whole(tokens, width) // self.step.tp

    def rms_norm(self, tokens: int, width: int) -> int:
        """Its input and 1 / rms, in fp32 at least; the reference also keeps the product of both."""
        rows = self.residual(tokens, 1) * self._wide // self.step.element_bytes
        return (1 if self.step.fused else 2) * self.residual(tokens, width) + rows

    def layer_norm(self, tokens: int, width: int) -> int:
        """Its input, mean and 1 / deviation."""
        rows = self.residual(tokens, 1) * self._wide // self.step.element_bytes
        return self.residual(tokens, width) + 2 * rows

    def attention(self, tokens: int, keys: int, inner: int, heads: int, biased: bool) -> int:
        """q and the output (S, I), k and v (T, I), and the log of each row's sum (H, S); the reference keeps all
        scores (H, S, T) instead where a learned bias is added to them."""
        scores = self.share(tokens, heads) * self._wide // self.step.element_bytes
        if biased and not self.step.fused:
            scores = self.share(tokens, heads * keys)
        return 2 * self.share(tokens, inner) + 2 * self.share(keys, inner) + scores

    def gated_ffn(self, tokens: int, hidden: int) -> int:
        """Both projections and their gated product; the reference also keeps the activated one."""
        if self.step.recompute == "selective":
            return 2 * self.share(tokens, hidden)
        return (3 if self.step.fused else 4) * self.share(tokens, hidden)

    def ffn(self, tokens: int, hidden: int, activation: str) -> int:
        """The projection and what the activation makes of it, from which ReLU's gradient follows, too."""
        both = self.step.recompute != "selective" and activation != "relu"
        return (2 if both else 1) * self.share(tokens, hidden)

    def layer(self, tokens: int, width: int, norms: list[int], products: list[int]) -> int:
        """A layer of as many norms as regions, what is inside of these given as `products`.

        Regions keep their input (S, D). selective: the layer's input, products, and each region's output (S, D), a
        product as well. full: the layer's input.
        """
        inside = len(products) * self.whole(tokens, width) + sum(products)
        return {
            "none": sum(norms) + inside,
            "selective": self.residual(tokens, width) + inside,
            "full": self.residual(tokens, width),
        }[self.step.recompute]

    def lm_head(self, tokens: int, width: int, vocabulary: int, bias: bool) -> int:
        """Gradients of the input (S, D), and of the weight (V, D) and the bias (V) in fp32 at least."""
        weight = vocabulary * (width + (1 if bias else 0)) * self._wide // self.step.tp
        return self.whole(tokens, width) + weight

    def padded(self, tokens: int) -> int:
        """Length that sequence shards share out."""
        multiple = self.step.tp if self.step.sharded_sequence else 1
        return -(-tokens // multiple) * multiple

    @property
    def _wide(self) -> int:
        return max(4, self.step.element_bytes)
