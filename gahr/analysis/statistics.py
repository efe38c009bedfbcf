"""How far is a set of images from another? Statistics of whole sets, in numpy and float64."""

from typing import NamedTuple

import numpy as np

from gahr.types import Array


class Moments(NamedTuple):
    mean: np.ndarray  # (k,)
    covariance: np.ndarray  # (k, k)


def moments(images: Array, vectors: Array) -> Moments:
    """Mean and covariance of the coordinates <x, u_k> of images (N, H, W, C) along vectors (k, H, W, C)."""
    rows = np.asarray(images, np.float64).reshape(len(images), -1)
    coordinates = rows @ np.asarray(vectors, np.float64).reshape(len(vectors), -1).T
    return Moments(coordinates.mean(0), np.atleast_2d(np.cov(coordinates.T)))


def frechet_distance(one: Moments, other: Moments) -> float:
    """Squared 2-Wasserstein distance of the Gaussians with these moments, squared image units.

    |m - m'|^2 + tr(C + C' - 2 (C^1/2 C' C^1/2)^1/2). Along principal components of the images it needs no network,
    unlike FID; it sees mean and covariance alone. Of two sets of N images of one law it is not 0 but about 1 / N.

    Reference: Dowson and Landau (1982), Journal of Multivariate Analysis 12, 450-455.
    """
    values, vectors = np.linalg.eigh(one.covariance)
    root = vectors * np.sqrt(np.maximum(values, 0)) @ vectors.T
    cross = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ other.covariance @ root), 0)).sum()
    traces = np.trace(one.covariance) + np.trace(other.covariance)
    return float(np.sum((one.mean - other.mean) ** 2) + traces - 2 * cross)


def spectral_error(one: Array, other: Array) -> float:
    """Root mean square over rings (F,) of the log ratio of two spectra, positive, in any unit of power, dB."""
    ratio = np.asarray(one, np.float64) / np.asarray(other, np.float64)
    return float(np.sqrt(np.mean((10 * np.log10(ratio)) ** 2)))


def excess_kurtosis(images: Array) -> float:
    """E g^4 / (E g^2)^2 - 3 of the differences g between pixels and their right and lower neighbours.

    0 for Gaussian images of one law everywhere; large where a few contours make most of the differences. No statistic
    of mean and covariance knows it.
    """
    values = np.asarray(images, np.float64)
    found = np.concatenate([np.diff(values, axis=axis).ravel() for axis in (1, 2)])
    return float(np.mean(found**4) / np.mean(found**2) ** 2 - 3)


def energy_distance(images: Array, others: Array) -> float:
    """2 E|x - y| - E|x - x'| - E|y - y'| of two sets of images (N, H, W, C) and (M, H, W, C), image units.

    0 for equal laws alone, unlike the Frechet distance, which sees mean and covariance. Without bias: of two sets of
    one law it is 0 in the mean, and may be negative. Takes 8 N M bytes for each of the H W C values.

    Reference: Szekely and Rizzo (2013), Journal of Statistical Planning and Inference 143, 1249-1272.
    """
    one, other = (np.asarray(each, np.float64).reshape(len(each), -1) for each in (images, others))
    apart = lambda x, y: np.linalg.norm(x[:, None] - y[None], axis=-1)
    within = lambda x: apart(x, x).sum() / (len(x) * (len(x) - 1))
    return float(2 * apart(one, other).mean() - within(one) - within(other))
