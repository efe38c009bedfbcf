"""UNet that is told sigma, for denoisers and consistency models."""

import flax.linen as nn
import jax.numpy as jnp

from gahr.models import layers
from gahr.models.convolution import conv2d
from gahr.models.layers import Conv, Upsample, average_pool
from gahr.models.told import Told
from gahr.models.unet import check_sides
from gahr.names import require
from gahr.types import Array


class ConditionalUNet(Told):
    """Residual blocks with group normalisation; every block is told log(sigma) by a shift of its channels.

    Level b has features 2^b channels. A block is norm -> SiLU -> conv, plus the shift, -> norm -> SiLU -> dropout ->
    conv, plus its input. Average pooling goes down, a 2 x 2 transposed convolution goes up, and blocks on the way up
    see (upsampled, skip). The last convolution starts at 0, so that at first f(y, sigma) = m + c_skip (y - m).
    Group normalisation, unlike batch normalisation, knows no other images, of other noise levels.

    Attributes:
      features: channels of the first level, a multiple of `groups`.
      num_blocks: number of poolings; the sides must be divisible by 2^num_blocks.
      groups: of channels that are normalised together.
      dropout: share of channels' values that are dropped in training, where a "dropout" key is given.
      dtype: of the computation; parameters stay float32.
      sigma_data, sigma_min, mean: as `gahr.models.told.Told`.
    """

    features: int = 32
    num_blocks: int = 2
    groups: int = 8
    dropout: float = 0.0
    dtype: str = "float32"

    def inner(self, scaled: Array, embedding: Array, *, train: bool) -> Array:
        """F, (N, H, W, C) of scaled images (N, H, W, C) and what is known of sigma (N, E)."""
        dtype = layers.checked_dtype(self, features=1, num_blocks=1, groups=1)
        require(self.features % self.groups == 0, "features", self.features, f"a multiple of groups = {self.groups}")
        require(0 <= self.dropout < 1, "dropout", self.dropout, "from 0 to below 1")
        check_sides(scaled.shape[-3:-1], self.num_blocks)
        told = nn.silu(nn.Dense(4 * self.features, name="embedding")(embedding)).astype(dtype)
        still = not (train and self.has_rng("dropout"))

        def block(images: Array, features: int, name: str) -> Array:
            norm = lambda part: nn.GroupNorm(self.groups, dtype=dtype, name=f"{name}_norm{part}")
            inside = Conv(features, dtype, name=f"{name}_conv0")(nn.silu(norm(0)(images)))
            inside = inside + nn.Dense(features, dtype=dtype, name=f"{name}_told")(told)[:, None, None]
            inside = nn.silu(norm(1)(inside))
            inside = nn.Dropout(self.dropout, deterministic=still, name=f"{name}_dropout")(inside)
            inside = Conv(features, dtype, name=f"{name}_conv1")(inside)
            if images.shape[-1] != features:
                images = nn.Dense(features, use_bias=False, dtype=dtype, name=f"{name}_skip")(images)
            return images + inside

        images, skips = Conv(self.features, dtype, name="input_conv")(scaled), []
        for level in range(self.num_blocks):
            images = block(images, self.features * 2**level, f"down{level}")
            skips.append(images)
            images = average_pool(images)
        images = block(images, self.features * 2**self.num_blocks, "middle")
        for level in reversed(range(self.num_blocks)):
            features = self.features * 2**level
            images = Upsample(features, dtype, name=f"up{level}_up")(images)
            images = block(jnp.concatenate([images, skips[level]], -1), features, f"up{level}")
        images = nn.silu(nn.GroupNorm(self.groups, dtype=dtype, name="output_norm")(images))
        kernel = self.param("last", nn.initializers.zeros, (3, 3, self.features, scaled.shape[-1]))
        return conv2d(images.astype(dtype), kernel.astype(dtype))
