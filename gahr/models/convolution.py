"""3 x 3 convolution, in the forms that XLA's CPU compiler runs fast; other devices use its own.

On a CPU that compiler spreads one convolution over threads along output columns and channels only, so that an
ordinary layer of 32 to 64 channels keeps one core busy. Its weight gradient does so whatever the columns.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_derivatives import SymbolicZero

from gahr.types import Array

_FEW = 4  # up to so many channels on one side, a matrix product is faster
_NARROW = 32  # from so many channels on, on one side, one call leaves cores idle
_BROAD = 128  # from so many on both sides on, its forward form uses them all
_PIECES = 8  # of the batch, whose weight gradients run side by side
_SMALL = 256  # pixels, below which the parts are too short to gain


def conv2d(images: Array, kernel: Array) -> Array:
    """Cross-correlation of stride 1 with zero padding 1: (N, H, W, C) and (3, 3, C, F) give (N, H, W, F).

    y[n, h, w, f] = sum over i, j, c of x[n, h + i - 1, w + j - 1, c] kernel[i, j, c, f], in the dtype of the
    images, which is the kernel's.
    """
    return lax.platform_dependent(images, kernel, cpu=_on_cpu, default=_direct)


def _direct(images: Array, kernel: Array) -> Array:
    return lax.conv_general_dilated(images, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))


def _shifts(images: Array) -> list[Array]:
    """The nine (N, H, W, ...) that a 3 x 3 kernel meets, in the order of its entries."""
    height, width = images.shape[1:3]
    padded = jnp.pad(images, ((0, 0), (1, 1), (1, 1)) + ((0, 0),) * (images.ndim - 3))
    return [padded[:, i : i + height, j : j + width] for i in range(3) for j in range(3)]


def _from_few(images: Array, kernel: Array) -> Array:
    """Patches (N, H, W, 9 C) times a matrix."""
    return jnp.tensordot(jnp.concatenate(_shifts(images), -1), kernel.reshape(-1, kernel.shape[-1]), 1)


def _to_few(images: Array, kernel: Array) -> Array:
    """The nine products with one kernel entry each, shifted and added."""
    exact = jnp.promote_types(images.dtype, jnp.float32)
    entries = kernel.reshape(9, *kernel.shape[2:])
    products = jnp.tensordot(images, entries, ((3,), (1,)), preferred_element_type=exact)  # (N, H, W, 9, F)
    return sum(shifted[..., k, :] for k, shifted in enumerate(_shifts(products))).astype(images.dtype)


def _strip(images: Array, kernel: Array) -> Array:
    """The batch side by side, as one image with many columns; a column of zeros keeps neighbours apart."""
    number, height, width, channels = images.shape
    apart = jnp.pad(images, ((0, 0), (0, 0), (0, 1), (0, 0)))
    strip = apart.swapaxes(0, 1).reshape(1, height, number * (width + 1), channels)
    out = _direct(strip, kernel).reshape(height, number, width + 1, -1)
    return out[:, :, :-1].swapaxes(0, 1)


@partial(jax.checkpoint, prevent_cse=False)
def _pieces(images: Array, kernel: Array) -> Array:
    """Convolutions of parts of the batch. Without the checkpoint, copies of the parts would be kept.

    Casting the kernel for each part adds up the parts' gradients in float32.
    """
    pieces = max(k for k in range(1, _PIECES + 1) if images.shape[0] % k == 0)
    exact = kernel.astype(jnp.promote_types(kernel.dtype, jnp.float32))
    return jnp.concatenate([_direct(part, exact.astype(kernel.dtype)) for part in jnp.split(images, pieces)])


def _in_images(images: Array, kernel: Array) -> Array:
    """The form whose transpose in the images is fast too."""
    channels, features = kernel.shape[2:]
    if features <= _FEW:
        return _to_few(images, kernel)
    if channels <= _FEW:
        return _from_few(images, kernel)
    if max(channels, features) >= _NARROW and min(channels, features) < _BROAD:
        return _strip(images, kernel)
    return _direct(images, kernel)


def _in_kernel(images: Array, kernel: Array) -> Array:
    """The form whose transpose in the kernel is fast."""
    if kernel.shape[-1] <= _FEW:
        return _to_few(images, kernel)
    large = images.shape[1] * images.shape[2] >= _SMALL and min(kernel.shape[2:]) >= _NARROW
    return _pieces(images, kernel) if large else _direct(images, kernel)


@jax.custom_jvp
def _on_cpu(images: Array, kernel: Array) -> Array:
    return _in_images(images, kernel)


@partial(_on_cpu.defjvp, symbolic_zeros=True)
def _on_cpu_jvp(primals: tuple, tangents: tuple) -> tuple[Array, Array]:
    """A product's rule; reverse mode transposes each term, so each comes in the form that suits it."""
    (images, kernel), (d_images, d_kernel) = primals, tangents
    terms = []
    if not isinstance(d_images, SymbolicZero):
        terms.append(_in_images(d_images, kernel))
    if not isinstance(d_kernel, SymbolicZero):
        terms.append(_in_kernel(images, d_kernel))
    return _on_cpu(images, kernel), sum(terms[1:], terms[0])
