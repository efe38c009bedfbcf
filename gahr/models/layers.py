"""Layers without additive constants, and their initial values.

Kadkhodaie et al. (2024), arXiv:2310.02557, appendix A.1; Mohan et al. (2020), arXiv:1906.05478.
"""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from gahr.models.convolution import conv2d
from gahr.types import Array, Key, PyTree

GAIN_SD = {"published": 2 / 9 / 64, "square_root": math.sqrt(2 / 9 / 64)}
_GAIN_LIMIT = 0.025


def _initial(name: str, normal: Array, gain_init: str) -> Array:
    """Initial value of parameter `name` from a standard normal array of its shape.

    He et al. (2015), standard deviation sqrt(2 / fan_in): fan_in is 9 C_in for a 3 x 3 kernel and, as PyTorch
    counts it, 4 C_out for the upsampling kernel (C_in, 2, 2, C_out).
    """
    if name == "gain":
        return jnp.clip(GAIN_SD[gain_init] * normal, -_GAIN_LIMIT, _GAIN_LIMIT)
    fan_in = math.prod(normal.shape[1:] if name == "upsampling" else normal.shape[:-1])
    return math.sqrt(2 / fan_in) * normal


def _initializer(name: str, gain_init: str = "published"):
    return lambda key, shape: _initial(name, jax.random.normal(key, shape), gain_init)


def initialize(model: nn.Module, key: Key, image_shape: tuple[int, int, int]) -> PyTree:
    """Initial variables of a network: the law of `model.init`, from one normal draw cut into the leaves.

    `jit(model.init)` compiles one random generator per parameter, which takes longer than all the rest of
    the start-up.

    Args:
      model: UNet or BFCNN.
      key: random key.
      image_shape: (H, W, C) of the images it will see.

    Returns:
      {"params": ..., "batch_stats": ...}, float32.
    """
    noisy = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
    shapes = jax.eval_shape(model.init, key, noisy)
    params, treedef = jax.tree.flatten_with_path(shapes["params"])
    total = sum(leaf.size for _, leaf in params)

    def draw(key: Key) -> PyTree:
        normal, start, leaves = jax.random.normal(key, (total,)), 0, []
        for path, leaf in params:
            piece = normal[start : start + leaf.size].reshape(leaf.shape)
            leaves.append(_initial(path[-1].key, piece, model.gain_init))
            start += leaf.size
        return jax.tree.unflatten(treedef, leaves)

    ones = jax.tree.map(lambda leaf: jnp.ones(leaf.shape, leaf.dtype), shapes.get("batch_stats", {}))
    return {"params": jax.jit(draw)(key), "batch_stats": ones}


class Conv(nn.Module):
    """3 x 3 convolution, zero padding 1, no bias: (..., H, W, C_in) -> (..., H, W, features)."""

    features: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, images: Array) -> Array:
        kernel = self.param("kernel", _initializer("kernel"), (3, 3, images.shape[-1], self.features))
        flat = images.reshape(-1, *images.shape[-3:])
        out = conv2d(flat.astype(self.dtype), kernel.astype(self.dtype))
        return out.reshape(*images.shape[:-1], self.features)


class Upsample(nn.Module):
    """2 x 2 transposed convolution of stride 2, no bias: (..., H, W, C_in) -> (..., 2H, 2W, features).

    Every input pixel paints its own 2 x 2 square, so the layer is a dense product followed by
    depth-to-space, whose gradient is a dense product too.
    """

    features: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, images: Array) -> Array:
        *lead, height, width, channels = images.shape
        kernel = self.param("upsampling", _initializer("upsampling"), (channels, 2, 2, self.features))
        painted = jnp.tensordot(images.astype(self.dtype), kernel.astype(self.dtype), axes=1)
        squares = jnp.moveaxis(painted, -3, -4)  # (..., H, 2, W, 2, features)
        return squares.reshape(*lead, 2 * height, 2 * width, self.features)


def average_pool(images: Array) -> Array:
    """Mean over 2 x 2 squares: (..., H, W, C) -> (..., H/2, W/2, C)."""
    *lead, height, width, channels = images.shape
    return images.reshape(*lead, height // 2, 2, width // 2, 2, channels).mean((-4, -2))


class BiasFreeBatchNorm(nn.Module):
    """Divides every channel by its standard deviation and multiplies by a gain; nothing is subtracted.

    sd_c = sqrt(variance_c + 1e-5) with the (centred, biased) variance over batch and pixels. With train=True
    the batch's sd divides and the running one moves, running <- 0.9 running + 0.1 sd; with train=False the
    running one divides, which makes the layer linear. Statistics are float32.
    """

    gain_init: str = "published"

    @nn.compact
    def __call__(self, images: Array, *, train: bool) -> Array:
        channels = images.shape[-1]
        gain = self.param("gain", _initializer("gain", self.gain_init), (channels,))
        running = self.variable("batch_stats", "sd", jnp.ones, (channels,))
        sd = running.value
        if train:
            sd = _standard_deviation(images)
            if not self.is_initializing():
                running.value = 0.9 * running.value + 0.1 * lax.stop_gradient(sd)
        factor = (gain / sd).astype(images.dtype)
        return images * factor.reshape((1,) * (images.ndim - 1) + (channels,))


def _standard_deviation(images: Array) -> Array:
    """sqrt(variance + 1e-5) per channel in one pass, E (x - a)^2 - (E x - a)^2, which holds for every a.

    a is the first image's mean: close enough to the true one that the difference loses no digits.
    """
    flat = images.reshape(-1, *images.shape[-3:]).astype(jnp.float32)
    near = lax.stop_gradient(flat[:1].mean((0, 1, 2), keepdims=True))
    shifted = flat - near
    variance = jnp.mean(shifted**2, (0, 1, 2)) - jnp.mean(shifted, (0, 1, 2)) ** 2
    return jnp.sqrt(jnp.maximum(variance, 0) + 1e-5)
