"""Layers without additive constants, and their initial values.

Kadkhodaie et al. (2024), arXiv:2310.02557, appendix A.1; Mohan et al. (2020), arXiv:1906.05478.
"""

import math
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from gahr.models.convolution import conv2d
from gahr.names import require, require_whole
from gahr.types import Array, Key, PyTree, is_told

GAIN_SD = {"published": 2 / 9 / 64, "square_root": math.sqrt(2 / 9 / 64)}
_GAIN_LIMIT = 0.025
_DTYPES = ("float32", "bfloat16", "float16")


def initial(model: nn.Module, name: str, normal: Array) -> Array:
    """Initial value of a parameter of these layers, or of a network of them, from a standard normal array of its shape.

    He et al. (2015), standard deviation sqrt(2 / fan_in): fan_in is k^2 C_in for a k x k kernel and, as PyTorch
    counts it, 4 C_out for the upsampling kernel (C_in, 2, 2, C_out). Gains as the `gain_init` of `UNet` says.

    Raises:
      ValueError: no parameter of these layers has the name.
    """
    if name == "gain":
        return jnp.clip(GAIN_SD[model.gain_init] * normal, -_GAIN_LIMIT, _GAIN_LIMIT)
    if name not in ("kernel", "upsampling"):
        raise ValueError(f"parameter {name} has no initial value here")
    fan_in = math.prod(normal.shape[1:] if name == "upsampling" else normal.shape[:-1])
    return math.sqrt(2 / fan_in) * normal


def initializer(layer: nn.Module, name: str) -> Callable[[Key, tuple[int, ...]], Array]:
    """`initial` as Flax asks for it: (key, shape) -> value."""
    return lambda key, shape: initial(layer, name, jax.random.normal(key, shape))


def initialize(model: nn.Module, key: Key, image_shape: tuple[int, int, int]) -> PyTree:
    """Initial variables of a network: the law of `model.init`.

    A network made of the layers here says so by a method `initial`. Its parameters are cut from one normal draw:
    `jit(model.init)`, which serves all others, compiles a random generator for each, which takes longer than all the
    rest of the start-up.

    Args:
      model: network, told sigma or not.
      key: random key.
      image_shape: (H, W, C) of the images it will see.

    Returns:
      {"params": ..., "batch_stats": ...}, float32.
    """
    inputs = (jnp.zeros((1, *image_shape)), *[jnp.ones(1)] * is_told(model))
    if not hasattr(model, "initial"):
        return {"batch_stats": {}} | dict(jax.jit(model.init)(key, *inputs))
    shapes = jax.eval_shape(model.init, key, *inputs)
    params, treedef = jax.tree.flatten_with_path(shapes["params"])
    total = sum(leaf.size for _, leaf in params)

    def draw(key: Key) -> PyTree:
        normal, start, leaves = jax.random.normal(key, (total,)), 0, []
        for path, leaf in params:
            piece = normal[start : start + leaf.size].reshape(leaf.shape)
            leaves.append(model.initial(path[-1].key, piece))
            start += leaf.size
        return jax.tree.unflatten(treedef, leaves)

    ones = jax.tree.map(lambda leaf: jnp.ones(leaf.shape, leaf.dtype), shapes.get("batch_stats", {}))
    return {"params": jax.jit(draw)(key), "batch_stats": ones}


def checked_dtype(model: nn.Module, **least: int) -> jnp.dtype:
    """The dtype of a network; ValueError for a field of it that cannot be, `least` holding those that count."""
    for field, number in least.items():
        require_whole(field, getattr(model, field), least=number)
    dtypes = (*_DTYPES, "float64") if jax.config.jax_enable_x64 else _DTYPES
    for field, choices in (("dtype", dtypes), ("gain_init", tuple(GAIN_SD))):
        value = getattr(model, field, choices[0])
        require(value in choices, field, value, f"one of {', '.join(choices)}")
    return jnp.dtype(model.dtype)


class Conv(nn.Module):
    """3 x 3 convolution, zero padding 1, no bias: (..., H, W, C_in) -> (..., H, W, features)."""

    features: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, images: Array) -> Array:
        kernel = self.param("kernel", initializer(self, "kernel"), (3, 3, images.shape[-1], self.features))
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
        kernel = self.param("upsampling", initializer(self, "upsampling"), (channels, 2, 2, self.features))
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
        gain = self.param("gain", initializer(self, "gain"), (channels,))
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
