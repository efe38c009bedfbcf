"""Perceptron that is told sigma, for images of a few numbers, such as points in the plane."""

import math

import flax.linen as nn
import jax.numpy as jnp

from gahr.models.told import Told
from gahr.names import require_whole
from gahr.types import Array


class Perceptron(Told):
    """Dense layers with SiLU on all H W C numbers of an image and what is known of sigma; the last starts at 0.

    Attributes:
      features: numbers in a layer.
      num_layers: layers before the last.
      sigma_data, sigma_min, mean: as `gahr.models.told.Told`.
    """

    features: int = 128
    num_layers: int = 3

    def inner(self, scaled: Array, embedding: Array, *, train: bool) -> Array:
        """F, (N, H, W, C) of scaled images (N, H, W, C) and what is known of sigma (N, E)."""
        del train
        for field in ("features", "num_layers"):
            require_whole(field, getattr(self, field))
        hidden = jnp.concatenate([scaled.reshape(len(scaled), -1), embedding], -1)
        for layer in range(self.num_layers):
            hidden = nn.silu(nn.Dense(self.features, name=f"layer{layer}")(hidden))
        last = self.param("last", nn.initializers.zeros, (self.features, math.prod(scaled.shape[1:])))
        return (hidden @ last).reshape(scaled.shape)
