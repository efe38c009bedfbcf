"""Convolutions of any size, stride and dilation, and transposed ones; `layers.Conv` is faster where 3 x 3 will do."""

import flax.linen as nn
import jax.numpy as jnp
from jax import lax

from gahr.models.layers import initializer
from gahr.types import Array


class GeneralConv(nn.Module):
    """Convolution without bias, zero padding dilation (kernel_size - 1) / 2: (..., H, W, C) -> (..., H', W', features).

    y[h, w, f] = sum over i, j, c of x[s h + r i - p, s w + r j - p, c] kernel[i, j, c, f] for stride s, dilation
    r and padding p, so H' = ceil(H / s).

    Attributes:
      features: channels of the output.
      kernel_size: odd side of the kernel (kernel_size, kernel_size, C, features).
      stride, dilation: s and r.
      dtype: of the computation.
    """

    features: int
    kernel_size: int
    stride: int = 1
    dilation: int = 1
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, images: Array) -> Array:
        shape = (self.kernel_size, self.kernel_size, images.shape[-1], self.features)
        kernel = self.param("kernel", initializer(self, "kernel"), shape)
        out = lax.conv_general_dilated(
            images.reshape(-1, *images.shape[-3:]).astype(self.dtype),
            kernel.astype(self.dtype),
            window_strides=(self.stride, self.stride),
            padding=[(self.dilation * (self.kernel_size - 1) // 2,) * 2] * 2,
            rhs_dilation=(self.dilation, self.dilation),
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )
        return out.reshape(*images.shape[:-3], *out.shape[1:])


class TransposedConv(nn.Module):
    """4 x 4 transposed convolution of stride 2 and padding 1, no bias: (..., H, W, C) -> (..., 2H, 2W, features).

    Input pixel (h, w) adds x[h, w, c] kernel[c, i, j, f] at (2h + i - 1, 2w + j - 1), where that is inside.

    Attributes:
      features: channels of the output.
      dtype: of the computation.
    """

    features: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, images: Array) -> Array:
        kernel = self.param("upsampling", initializer(self, "upsampling"), (images.shape[-1], 4, 4, self.features))
        out = lax.conv_general_dilated(
            images.reshape(-1, *images.shape[-3:]).astype(self.dtype),
            jnp.flip(kernel, (1, 2)).astype(self.dtype),
            window_strides=(1, 1),
            padding=[(2, 2)] * 2,
            lhs_dilation=(2, 2),
            dimension_numbers=("NHWC", "IHWO", "NHWC"),
        )
        return out.reshape(*images.shape[:-3], *out.shape[1:])
