"""How far sets of samples are from images: moments, spectrum and contours; and whether they are copies."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gahr.analysis import generalization, statistics
from gahr.classical import spectra
from gahr.types import Array

_COMPONENTS = 30


class Reference(NamedTuple):
    """Images, and what samples of their law share with them."""

    images: Array  # (N, H, W, C)
    vectors: Array  # (k, H, W, C) leading principal vectors
    moments: statistics.Moments  # along these
    power: Array  # (F,) `rings`

    def frechet(self, samples: Array) -> float:
        """Frechet distance of samples (n, H, W, C) along the principal vectors, squared image units."""
        return statistics.frechet_distance(statistics.moments(samples, self.vectors), self.moments)

    def spectral(self, samples: Array) -> float:
        """Error of their spectrum, dB."""
        return statistics.spectral_error(rings(samples), self.power)


def reference(images: Array, basis: Array) -> Reference:
    """Of images (N, H, W, C) and their principal vectors (d, H, W, C), of which the first 30 are kept."""
    vectors = basis[:_COMPONENTS]
    return Reference(images, vectors, statistics.moments(images, vectors), rings(images))


@jax.jit
def rings(images: Array) -> Array:
    """Mean power (F,) of images less their mean image on rings |f| = 1, 2, ..., without window."""
    return spectra.radial(spectra.power(images - images.mean(0)[None], window=None)).mean(0)[1:]


nearest = jax.jit(generalization.nearest)


def describe_sets(sets: Mapping[str, Array], known: Reference, *, num_shown: int) -> dict[str, Any]:
    """Arrays of sets (n, H, W, C) by name: sets (their names), frequency (F,) and, of each, "sets/NAME/...".

    frechet and spectral as `Reference`, power (F,), kurtosis of differences, nearest (median similarity to the most
    similar of the images) and shown, the first of them.
    """
    arrays: dict[str, Any] = {"sets": list(sets), "frequency": 1 + jnp.arange(len(known.power))}
    for name, samples in sets.items():
        found = dict(frechet=known.frechet(samples), spectral=known.spectral(samples), power=rings(samples))
        found |= dict(kurtosis=statistics.excess_kurtosis(samples), shown=samples[:num_shown])
        found["nearest"] = jnp.median(nearest(samples, known.images).similarity)
        arrays |= {f"sets/{name}/{quantity}": value for quantity, value in found.items()}
    return arrays
