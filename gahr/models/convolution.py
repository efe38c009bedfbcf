"""3 x 3 convolution, in the forms that are fast on a CPU; other devices use XLA's own.

Two primitives, each bilinear and the transpose of the other, so that the form is chosen once every transformation is
done, for the shapes that are left: an axis that `vmap` adds joins the batch.

The classes of shapes were measured on two cores, each form alone and compiled, best of calls in 0.3 s; GFLOP/s as the
direct sum counts them, beside a matrix product of 215:

    batch, side, C -> F     forward: XLA, Winograd     weight gradient: XLA, Winograd
    64, 20, 32 -> 32                 162, 192                            93, 136
    32, 40, 64 -> 32                 171, 229                           124, 171
    32, 10, 128 -> 128               209, 323                           181, 250
    16, 80, 64 -> 64                 188, 242                            95, 169
    16, 20, 256 -> 256               215, 382                           180, 290
    32, 32, 16 -> 16                  99, 48                             80, 34
"""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax
from jax.core import ShapedArray
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from gahr.models import winograd
from gahr.types import Array

_FEW = 4  # up to so many channels on one side, one matrix product is fastest
_BROAD = 32  # from so many on both sides on, Winograd's form is
_LARGE = 2**17  # pixels of the batch times channels, below which it is not


def conv2d(images: Array, kernel: Array) -> Array:
    """Cross-correlation of stride 1 with zero padding 1: (N, H, W, C) and (3, 3, C, F) give (N, H, W, F).

    y[n, h, w, f] = sum over i, j, c of x[n, h + i - 1, w + j - 1, c] kernel[i, j, c, f], in the dtype of the
    images, which is the kernel's.
    """
    return _conv.bind(*_varying_alike(images, kernel))


def _varying_alike(*arrays: Array) -> list[Array]:
    """Inside of `shard_map`, arrays that are the same on every device as such that may differ, where others may."""
    known = [jax.typeof(array).manual_axis_type.varying for array in arrays]
    axes = frozenset().union(*known)
    missing = [tuple(axes - varying) for varying in known]
    return [lax.pcast(a, new, to="varying") if new else a for a, new in zip(arrays, missing, strict=True)]


def _direct(images: Array, kernel: Array) -> Array:
    return lax.conv_general_dilated(images, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))


def _direct_gradient(images: Array, cotangents: Array) -> Array:
    pads, dimensions = ((1, 1), (1, 1)), ("CHWN", "IHWO", "HWNC")  # the sum is over the images
    return lax.conv_general_dilated(images, cotangents, (1, 1), pads, dimension_numbers=dimensions)


def _shifts(images: Array) -> Array:
    """The nine (N, H, W, C) that a 3 x 3 kernel meets, in the order of its entries, as (N, H, W, 9 C)."""
    height, width = images.shape[1:3]
    padded = jnp.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
    return jnp.concatenate([padded[:, i : i + height, j : j + width] for i in range(3) for j in range(3)], -1)


def _strip(images: Array, kernel: Array) -> Array:
    """The batch side by side, as one image: XLA spreads a convolution over threads along columns and features only."""
    number, height, width, channels = images.shape
    apart = jnp.pad(images, ((0, 0), (0, 0), (0, 1), (0, 0)))  # a column of zeros between neighbours
    strip = apart.swapaxes(0, 1).reshape(1, height, number * (width + 1), channels)
    out = _direct(strip, kernel).reshape(height, number, width + 1, -1)
    return out[:, :, :-1].swapaxes(0, 1)


def _on_cpu(images: Array, kernel: Array) -> Array:
    *_, channels, features = kernel.shape
    if features <= _FEW:  # nine products with one kernel entry each, shifted and added
        products = jnp.tensordot(images, kernel.transpose(2, 0, 1, 3), 1)  # (N, H, W, 3, 3, F)
        height, width = images.shape[1:3]
        padded = jnp.pad(products, ((0, 0), (1, 1), (1, 1), (0, 0), (0, 0), (0, 0)))
        return sum(padded[:, i : i + height, j : j + width, i, j] for i in range(3) for j in range(3))
    if channels <= _FEW:
        return jnp.tensordot(_shifts(images), kernel.reshape(-1, features), 1)
    if _many(images, features):
        return winograd.convolve(images, kernel)
    return _strip(images, kernel) if channels >= _BROAD else _direct(images, kernel)


def _gradient_on_cpu(images: Array, cotangents: Array) -> Array:
    channels, features = images.shape[-1], cotangents.shape[-1]
    if features <= _FEW:  # pixel p of the image meets entry (i, j) at output p - (i - 1, j - 1)
        gradient = jnp.tensordot(images, _shifts(cotangents), ((0, 1, 2), (0, 1, 2)))
        return jnp.flip(gradient.reshape(channels, 3, 3, features), (1, 2)).transpose(1, 2, 0, 3)
    if channels <= _FEW:
        return jnp.tensordot(_shifts(images), cotangents, ((0, 1, 2), (0, 1, 2))).reshape(3, 3, channels, features)
    form = winograd.kernel_gradient if _many(images, features) else _direct_gradient
    return form(images, cotangents)


def _many(images: Array, features: int) -> bool:
    """Whether there are so many pixels and channels that the tiles' transforms cost less than they save."""
    narrow, sizes = min(images.shape[-1], features), images.shape[:3]
    known = all(isinstance(size, int) for size in sizes)  # and no symbol, as in an export for every batch size
    return known and narrow >= _BROAD and math.prod(sizes) * narrow >= _LARGE


def _primitive(name: str, direct: Callable, on_cpu: Callable) -> Primitive:
    """A bilinear function of two arrays of one dtype, computed by another one on a CPU, at float32 at least."""

    def wide(first: Array, second: Array) -> Array:
        exact = jnp.promote_types(first.dtype, jnp.float32)
        # what made the arguments would be made again for each of the sums and products
        arguments = lax.optimization_barrier((first.astype(exact), second.astype(exact)))
        return lax.optimization_barrier(on_cpu(*arguments)).astype(first.dtype)

    def shape(first: ShapedArray, second: ShapedArray) -> ShapedArray:
        plain = [jax.ShapeDtypeStruct(each.shape, each.dtype) for each in (first, second)]
        return first.update(shape=jax.eval_shape(direct, *plain).shape, weak_type=False)

    primitive = Primitive(name)
    primitive.def_impl(jax.jit(primitive.bind))
    primitive.def_abstract_eval(shape)
    mlir.register_lowering(primitive, mlir.lower_fun(direct, multiple_results=False))
    mlir.register_lowering(primitive, mlir.lower_fun(wide, multiple_results=False), platform="cpu")
    return primitive


def _batch(primitive: Primitive, direct: Callable, places: tuple[tuple[int, int], tuple[int, int]]) -> None:
    """Batching rule: the axis that one argument has more joins axis places[i][0] of it, and places[i][1] of the result.

    Where both have one, every pair is a convolution of its own; XLA knows them as a grouped one.
    """

    def rule(arguments: tuple[Array, Array], axes: tuple[int | None, int | None]) -> tuple[Array, int]:
        if None not in axes:
            return jax.vmap(direct, axes)(*arguments), 0
        which = axes.index(None) ^ 1
        place, after = places[which]
        number = arguments[which].shape[axes[which]]
        moved = jnp.moveaxis(arguments[which], axes[which], place)
        joined = moved.reshape(*moved.shape[:place], -1, *moved.shape[place + 2 :])
        result = primitive.bind(*(joined if i == which else argument for i, argument in enumerate(arguments)))
        return result.reshape(*result.shape[:after], number, -1, *result.shape[after + 1 :]), after

    batching.primitive_batchers[primitive] = rule


_conv = _primitive("conv3x3", _direct, _on_cpu)
_gradient = _primitive("conv3x3_kernel_gradient", _direct_gradient, _gradient_on_cpu)
_batch(_conv, _direct, ((0, 0), (3, 3)))
_batch(_gradient, _direct_gradient, ((3, 2), (3, 3)))


def _to_images(cotangents: Array, kernel: Array) -> Array:
    """Transpose in the images: the kernel turned about, inputs and outputs exchanged."""
    return _conv.bind(cotangents, jnp.flip(kernel, (0, 1)).swapaxes(2, 3))


ad.defbilinear(
    _conv, lambda ct, images, kernel: _to_images(ct, kernel), lambda ct, images, kernel: _gradient.bind(images, ct)
)
ad.defbilinear(
    _gradient,
    lambda ct, images, cotangents: _to_images(cotangents, ct),
    lambda ct, images, cotangents: _conv.bind(images, ct),
)
