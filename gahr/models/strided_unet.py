"""Small bias-free UNet with strided and dilated convolutions: Mohan et al. (2020), arXiv:1906.05478."""

import flax.linen as nn
import jax.numpy as jnp

from gahr.models import layers
from gahr.models.general_conv import GeneralConv, TransposedConv
from gahr.types import Array


class StridedUNet(nn.Module):
    """Blind network of nine convolutions without norm, which makes the denoised image; called, it gives y - D(y).

    conv_1 5 x 5, conv_2; at half the sides conv_3 of stride 2, conv_4, conv_5 of dilation 2, conv_6 of dilation 4;
    conv_7 transposed 4 x 4 back up; conv_8 of (conv_7, conv_2); conv_9 5 x 5, linear. The others are 3 x 3, and a
    ReLU follows each. An odd side is padded by one zero row or column at its end, and cropped again.

    Attributes:
      features: channels K at full sides; 2 K at half sides.
      dtype: as in `UNet`.
    """

    features: int = 32
    dtype: str = "float32"

    initial = layers.initial

    @nn.compact
    def __call__(self, noisy: Array, *, train: bool = False) -> Array:
        """Residual (..., H, W, C) of noisy images (..., H, W, C), any C, H and W; `train` changes nothing.

        Raises:
          ValueError: a field cannot be.
        """
        height, width, channels = noisy.shape[-3:]
        dtype, features = layers.checked_dtype(self, features=1), self.features

        def layer(images: Array, number: int, features: int, size: int = 3, **options: int) -> Array:
            return nn.relu(GeneralConv(features, size, dtype=dtype, name=f"conv_{number}", **options)(images))

        images = jnp.pad(noisy, [(0, 0)] * (noisy.ndim - 3) + [(0, height % 2), (0, width % 2), (0, 0)])
        skip = layer(layer(images, 1, features, 5), 2, features)
        images = layer(layer(skip, 3, 2 * features, stride=2), 4, 2 * features)
        images = layer(layer(images, 5, 2 * features, dilation=2), 6, 2 * features, dilation=4)
        images = nn.relu(TransposedConv(2 * features, dtype, name="conv_7")(images))
        images = layer(jnp.concatenate([images, skip], -1), 8, features)
        denoised = GeneralConv(channels, 5, dtype=dtype, name="conv_9")(images)
        return noisy - denoised[..., :height, :width, :].astype(noisy.dtype)
