"""Bias-free UNet: Kadkhodaie et al. (2024), arXiv:2310.02557, appendix A.1 and the code published with it."""

import flax.linen as nn
import jax.numpy as jnp

from gahr.models import layers
from gahr.models.layers import BiasFreeBatchNorm, Conv, Upsample, average_pool
from gahr.types import Array


class UNet(nn.Module):
    """Blind UNet whose output is the residual y - D(y).

    Level b of the encoder has features 2^b channels; the middle, features 2^num_blocks. Every level is twice
    (conv -> norm -> ReLU), except that the very first convolution has no norm and the last is linear without
    norm. Average pooling goes down, a 2 x 2 transposed convolution goes up, and the decoder sees (upsampled,
    skip). No additive constants. Two convolutions of C channels in and out and K features give
    (89/3) K^2 (4^B - 1) + 18 C K kernel weights and 6 K (2^B - 1) gains for B blocks.

    Attributes:
      features: channels K of the first level.
      num_blocks: number B of poolings; the sides must be divisible by 2^B.
      gain_init: "published" draws the norms' gains with standard deviation 2/9/64, as the published code does;
        "square_root" with sqrt(2/9/64), as seems meant. Both are clipped to +-0.025.
      dtype: of the computation, such as "float32" or "bfloat16"; parameters and statistics stay float32.
    """

    features: int = 64
    num_blocks: int = 3
    gain_init: str = "published"
    dtype: str = "float32"

    initial = layers.initial

    @nn.compact
    def __call__(self, noisy: Array, *, train: bool = False) -> Array:
        """Residual (..., H, W, C) of noisy images (..., H, W, C), any C.

        With train=True the norms use the statistics of the batch and update `batch_stats`.

        Raises:
          ValueError: a field cannot be, or a side is not divisible by 2^num_blocks.
        """
        dtype = layers.checked_dtype(self, features=1, num_blocks=1)
        check_sides(noisy.shape[-3:-1], self.num_blocks)

        def layer(images: Array, features: int, name: str, *, norm: bool = True) -> Array:
            images = Conv(features, dtype, name=f"{name}_conv")(images)
            if norm:
                images = BiasFreeBatchNorm(self.gain_init, name=f"{name}_norm")(images, train=train)
            return nn.relu(images)

        images, skips = noisy, []
        for level in range(self.num_blocks):
            features = self.features * 2**level
            images = layer(images, features, f"encoder{level}_0", norm=level > 0)
            images = layer(images, features, f"encoder{level}_1")
            skips.append(images)
            images = average_pool(images)
        for i in range(2):
            images = layer(images, self.features * 2**self.num_blocks, f"middle_{i}")
        for level in reversed(range(self.num_blocks)):
            features = self.features * 2**level
            upsampled = Upsample(features, dtype, name=f"decoder{level}_up")(images)
            images = layer(jnp.concatenate([upsampled, skips[level]], -1), features, f"decoder{level}_0")
            if level > 0:
                images = layer(images, features, f"decoder{level}_1")
        residual = Conv(noisy.shape[-1], dtype, name="output_conv")(images)
        return residual.astype(noisy.dtype)


def check_sides(sides: tuple[int, int], num_blocks: int) -> None:
    """Raise ValueError, naming the nearest valid sides, unless both are divisible by 2^num_blocks."""
    unit = 2**num_blocks
    for side in sides:
        if side % unit or side == 0:
            below, above = side // unit * unit, (side // unit + 1) * unit
            nearest = f"{below} or {above}" if below else f"{above}"
            raise ValueError(
                f"image side {side} is not divisible by 2^num_blocks = {unit}; the nearest valid is {nearest}"
            )
