"""Orthonormal bases of images as pairs of functions, for `gahr.classical.shrinkage`.

The bandlets of an image are another one, `gahr.classical.bandlets.transform`.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
import jax.scipy.fft
from jax.tree_util import Partial

from gahr.classical import wavelets as wavelet_basis
from gahr.types import Array, with_options

_IMAGE = (-3, -2, -1)


class Transform(NamedTuple):
    """<x, e_k> of images, and sum_k c_k e_k; a pytree where both are, as those of this module."""

    analysis: Callable[[Array], Array]  # images (..., H, W, C) -> coefficients (..., a, b, c), image units
    synthesis: Callable[[Array], Array]  # its transpose; its inverse where the vectors span all images


def pixels() -> Transform:
    """The basis of single pixels."""
    return Transform(Partial(_same), Partial(_same))


def _same(images: Array) -> Array:
    return images


def fourier() -> Transform:
    """Waves cas(2 pi <k, n>) / (H W)^0.5, cas = cos + sin, of all frequencies k, on each channel.

    The real basis among those of Fourier whose coefficients stand where the fast Fourier transform has frequency k
    (Hartley's transform), so that a Wiener filter of a power spectrum multiplies both with the same gains.
    """
    return Transform(Partial(_waves), Partial(_waves))


def _waves(images: Array) -> Array:
    transformed = jnp.fft.fft2(images, axes=(-3, -2), norm="ortho")
    return transformed.real - transformed.imag


def cosines() -> Transform:
    """Cosines of the discrete cosine transform (DCT-II), as the vectors of `gahr.classical.cosines.basis`."""
    options = dict(axes=(-3, -2), norm="ortho")
    return Transform(with_options(jax.scipy.fft.dctn, **options), with_options(jax.scipy.fft.idctn, **options))


def wavelets(*, wavelet: str = "sym4", levels: int | None = None) -> Transform:
    """Orthogonal wavelets; arguments and layout as `gahr.classical.wavelets.analysis`."""
    options = dict(wavelet=wavelet, levels=levels)
    pair = wavelet_basis.analysis, wavelet_basis.synthesis
    return Transform(*(with_options(function, **options) for function in pair))


def vectors(basis: Array) -> Transform:
    """Any orthonormal vectors (K, H, W, C), such as `gahr.analysis.jacobian.eigenbasis(...).vectors`.

    Coefficients are (..., K, 1, 1). Where K < H W C, what is outside of their span is lost.

    Raises:
      ValueError: vectors of another rank.
    """
    if basis.ndim != 4:
        raise ValueError(f"vectors (K, H, W, C) are needed, got shape {basis.shape}")
    return Transform(Partial(_products, basis), Partial(_sums, basis))


def _products(basis: Array, images: Array) -> Array:
    return jnp.tensordot(images, basis, (_IMAGE, (1, 2, 3)), precision="highest")[..., None, None]


def _sums(basis: Array, coefficients: Array) -> Array:
    return jnp.tensordot(coefficients[..., 0, 0], basis, 1, precision="highest")
