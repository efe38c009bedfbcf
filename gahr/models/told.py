"""What networks share that are told sigma: their scaling, and how they are told."""

import math

import flax.linen as nn
import jax.numpy as jnp
import numpy as np

from gahr.models import layers
from gahr.names import require
from gahr.preconditioning import scales
from gahr.types import Array

_FREQUENCIES = math.pi / 4 * 2.0 ** np.arange(0, 4, 0.5)  # of log(sigma) / 4: slow, so that f varies slowly with sigma


class Told(nn.Module):
    """Network told sigma: its output is the residual y - f(y, sigma), f as in `gahr.preconditioning`.

    A subclass has `inner(scaled, embedding)`, F.

    Attributes:
      sigma_data: standard deviation of the images' pixels about `mean`, image units.
      sigma_min: noise level at which f is the identity, image units: 0 for a denoiser.
      mean: intensity that images are centred on.
    """

    sigma_data: float = 0.25
    sigma_min: float = 0.002
    mean: float = 0.5

    def initial(self, name: str, normal: Array) -> Array:
        """Initial value of a parameter by its name, as `gahr.models.layers.initial`; F is 0."""
        if name in ("scale", "bias", "last"):
            return jnp.full_like(normal, 1.0 if name == "scale" else 0.0)
        return layers.initial(self, name, normal)

    @nn.compact
    def __call__(self, noisy: Array, sigma: Array, *, train: bool = False) -> Array:
        """Residual (..., H, W, C) of noisy images (..., H, W, C) at sigma, image units, () or one per image (...,).

        Raises:
          ValueError: a field cannot be, or the sides are not those of the network.
        """
        require(self.sigma_data > 0, "sigma_data", self.sigma_data, "positive")
        require(self.sigma_min >= 0, "sigma_min", self.sigma_min, "at least 0")
        sigma = jnp.broadcast_to(sigma, noisy.shape[:-3]).reshape(-1)
        centred = noisy.reshape(-1, *noisy.shape[-3:]) - self.mean
        c = scales(sigma, sigma_data=self.sigma_data, sigma_min=self.sigma_min)
        phases = c.noise[:, None] * _FREQUENCIES[None]
        embedding = jnp.concatenate([jnp.cos(phases), jnp.sin(phases)], -1)
        inner = self.inner(c.in_ * centred, embedding, train=train).astype(noisy.dtype)
        return ((1 - c.skip) * centred - c.out * inner).reshape(noisy.shape)
