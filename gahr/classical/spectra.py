"""Power spectra of images: their slopes, by direction as well, and fields that have them.

Power is |Fourier transform|^2; "1 / f" of natural images is said of its root, so that the power of the mean of many
falls about as f^-2 to f^-2.4. Frequencies are in cycles per image; images are square, (N, H, H, C), with their channels
added up.

Reference: Field (1987), JOSA A 4, 2379-2394; Tolhurst, Tadmor and Chao (1992); Torralba and Oliva (2003), Network 14,
391-412, for directions.
"""

import itertools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gahr.names import require, require_whole
from gahr.types import Array, Key


class Slope(NamedTuple):
    slope: Array  # () s of the mean spectrum, power ~ f^s: negative
    interval: Array  # (2,) of 95 %, by the jackknife over images
    log_amplitude: Array  # () ln of the power at f = 1
    each: Array  # (N,) slopes of single images


def power(images: Array, *, window: str | None = "hann") -> Array:
    """Power spectra (N, H, H), squared image units per pixel; frequency 0 comes first, as `jnp.fft.fft2` has it.

    |FFT(w (x - m))|^2 / H^2, m the mean weighted with w: without a window, the mean over frequencies is the variance.

    Args:
      images: (N, H, H, C), image units.
      window: "hann", the product of two along the axes with mean square 1, against the jump at the borders, or None.

    Raises:
      ValueError: images that are not square, or another window.
    """
    _require_square(images)
    require(window in ("hann", None), "window", window, "hann or None")
    side = images.shape[1]
    weights = np.ones(side) if window is None else np.sin(np.pi * (np.arange(side) + 0.5) / side) ** 2
    weights = np.outer(weights, weights)[..., None] / np.mean(weights**2)
    weights = jnp.asarray(weights, images.dtype)[None]
    mean = jnp.sum(weights * images, (1, 2), keepdims=True) / weights.sum()
    return jnp.sum(jnp.abs(jnp.fft.fft2(weights * (images - mean), axes=(1, 2))) ** 2, -1) / side**2


def stationary_spectrum(images: Array) -> Array:
    """Mean power at each frequency, (H, W, C), for `gahr.classical.shrinkage.wiener` with `transforms.fourier()`.

    E c_k^2 of the images less their mean over images and pixels, without window: of all linear denoisers that treat
    every place alike, periodically, that Wiener filter is the best one. Images (N, H, W, C) of any sides.
    """
    centred = images - jnp.mean(images, (0, 1, 2), keepdims=True)
    transformed = jnp.fft.fft2(centred, axes=(1, 2), norm="ortho")
    return jnp.mean(jnp.abs(transformed) ** 2, 0)


def radial(power: Array, *, angle: float | None = None, half_width: float = 15.0) -> Array:
    """Mean power on rings round(|f|) = 0, 1, ..., below half the side: (N, H / 2) of spectra (N, H, H).

    Args:
      power: as `power` returns.
      angle: direction of the frequency vector, degrees from the rows' axis: 0 for waves across columns, that is
        vertical contours, 90 for horizontal ones; all directions where None.
      half_width: of a wedge about the direction and its opposite, degrees. Rings without a frequency are NaN.
    """
    side = power.shape[-1]
    frequency = np.fft.fftfreq(side, 1 / side)
    ring = np.round(np.hypot(frequency[:, None], frequency)).astype(int)
    is_member = ring < side // 2
    if angle is not None:
        away = np.degrees(np.arctan2(frequency[:, None], frequency[None])) - angle
        is_member &= np.abs((away + 90) % 180 - 90) <= half_width
    members = np.eye(side // 2)[np.where(is_member, ring, 0)] * is_member[..., None]
    number = members.sum((0, 1))
    mean = members / np.where(number > 0, number, np.nan)
    with jax.default_matmul_precision("highest"):
        return jnp.tensordot(power, jnp.asarray(mean, power.dtype), 2)


def fit_slope(rings: Array, *, between: tuple[float, float] | None = None, num_bins: int = 12) -> Slope:
    """Line through ln power against ln f, on bins that are equally wide in ln f.

    Args:
      rings: (N, R), mean power at f = 0, 1, ... of each image, as `radial`.
      between: range of f, cycles per image; from max(2, H / 40), which a window spares, to 0.4 H, beyond which
        interpolation and compression reach, where None, H = 2 R.
      num_bins: bins at most; those without a ring are left out.

    Returns:
      Slope of the mean of the spectra, not of their roots, and of each.

    Raises:
      ValueError: fewer than two images, or fewer than three bins with a ring.
    """
    number, length = rings.shape
    require(number >= 2, "the number of images", number, "at least 2")
    low, high = between or (max(2.0, length / 20), 0.8 * length)
    edges = np.geomspace(low, high * (1 + 1e-9), num_bins + 1)
    frequency = np.arange(length)
    there = np.isfinite(np.asarray(rings)).all(0)
    groups = [np.flatnonzero((frequency >= a) & (frequency < b) & there) for a, b in itertools.pairwise(edges)]
    groups = [group for group in groups if len(group)]
    require(len(groups) >= 3, "between", (low, high), "a range of three bins with a ring at least")
    bins = jnp.stack([jnp.mean(rings[:, group], 1) for group in groups], 1)
    design = np.stack([np.array([np.log(frequency[group]).mean() for group in groups]), np.ones(len(groups))], 1)
    solve = jnp.asarray(np.linalg.pinv(design), rings.dtype)
    line = lambda power: jnp.log(power) @ solve.T
    whole, each = line(bins.mean(0)), line(bins)[:, 0]
    without = line((bins.sum(0, keepdims=True) - bins) / (number - 1))[:, 0]
    error = jnp.sqrt((number - 1) * jnp.var(without))
    return Slope(whole[0], whole[0] + 1.96 * error * jnp.array([-1, 1]), whole[1], each)


def signature(
    images: Array,
    *,
    angles: tuple[float, ...] = (0.0, 45.0, 90.0, 135.0),
    half_width: float = 15.0,
    between: tuple[float, float] | None = None,
) -> dict[float, Slope]:
    """`fit_slope` in each direction: the spectral signature of a set of images (N, H, H, C), such as of one category.

    Reference: Torralba and Oliva (2003), where power is A(angle) f^-a(angle).
    """
    spectra = power(images)
    return {angle: fit_slope(radial(spectra, angle=angle, half_width=half_width), between=between) for angle in angles}


def field(key: Key, *, size: int, slope: float, crop: bool = True) -> Array:
    """A Gaussian field with power f^slope, mean 0 and variance 1 in expectation, (size, size, 1).

    Args:
      key: random key.
      size: side in pixels.
      slope: of power, such as -2; 0 at frequency 0.
      crop: from a field twice as wide, so that it is not periodic, as images are not; else it is.

    Raises:
      ValueError: a side that is not whole, or below 2.
    """
    require_whole("size", size, least=2)
    side = 2 * size if crop else size
    frequency = np.fft.fftfreq(side, 1 / side)
    square = frequency[:, None] ** 2 + frequency**2
    gains = np.where(square > 0, np.where(square > 0, square, 1) ** (slope / 4), 0)
    gains = jnp.asarray(gains / np.sqrt(np.mean(gains**2)), jnp.float32)
    white = jax.random.normal(key, (side, side))
    return jnp.fft.ifft2(gains * jnp.fft.fft2(white)).real[:size, :size, None]


def _require_square(images: Array) -> None:
    if images.ndim != 4 or images.shape[1] != images.shape[2]:
        raise ValueError(f"square images (N, H, H, C) are needed, got shape {images.shape}")
