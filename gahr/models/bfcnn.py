"""Bias-free convolutional network: Mohan et al. (2020), arXiv:1906.05478; arXiv:2310.02557, appendix A.1."""

import flax.linen as nn

from gahr.models import layers
from gahr.models.general_conv import GeneralConv
from gahr.models.layers import BiasFreeBatchNorm, Conv
from gahr.types import Array


class BFCNN(nn.Module):
    """Blind network of 3 x 3 convolutions at one resolution, whose output is the residual y - D(y).

    conv, then (conv -> norm -> ReLU) num_layers - 2 times, then conv. No additive constants, receptive field
    2 num_layers + 1. C channels and K features give 18 C K + (num_layers - 2)(9 K^2 + K) parameters.

    Attributes:
      features: channels K between the layers.
      num_layers: number of convolutions.
      first_relu: apply a ReLU after the first convolution. The paper's text has none; its code does by default.
      gain_init, dtype: as in `UNet`.
      kernel_sizes: odd side of every layer's kernel, where they are not all 3; the receptive field is then
        1 + sum(kernel_sizes) - num_layers.
    """

    features: int = 64
    num_layers: int = 21
    first_relu: bool = False
    gain_init: str = "published"
    dtype: str = "float32"
    kernel_sizes: tuple[int, ...] = ()

    @property
    def reach(self) -> int:
        """Pixels, along rows and columns, beyond which no intensity changes an estimate."""
        return (sum(self.kernel_sizes) - self.num_layers) // 2 if self.kernel_sizes else self.num_layers

    initial = layers.initial

    @nn.compact
    def __call__(self, noisy: Array, *, train: bool = False) -> Array:
        """Residual (..., H, W, C) of noisy images (..., H, W, C), any C, H and W.

        With train=True the norms use the statistics of the batch and update `batch_stats`.

        Raises:
          ValueError: a field cannot be, or kernel_sizes are not one odd number per layer.
        """
        dtype, sizes = layers.checked_dtype(self, features=1, num_layers=2), self.kernel_sizes or (3,) * self.num_layers
        if len(sizes) != self.num_layers or any(size % 2 == 0 for size in sizes):
            raise ValueError(f"kernel_sizes must be {self.num_layers} odd numbers, one per layer, not {sizes}")

        def conv(images: Array, features: int, size: int, name: str) -> Array:
            if size == 3:
                return Conv(features, dtype, name=name)(images)
            return GeneralConv(features, size, dtype=dtype, name=name)(images)

        images = conv(noisy, self.features, sizes[0], "conv_0")
        if self.first_relu:
            images = nn.relu(images)
        for i in range(1, self.num_layers - 1):
            images = conv(images, self.features, sizes[i], f"conv_{i}")
            images = nn.relu(BiasFreeBatchNorm(self.gain_init, name=f"norm_{i}")(images, train=train))
        residual = conv(images, noisy.shape[-1], sizes[-1], "output_conv")
        return residual.astype(noisy.dtype)
