"""An inverse problem from a command line: an image file, and what is measured of it."""

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gahr import metrics
from gahr.data import files
from gahr.names import pick, require
from gahr.sampling import constraint
from gahr.sampling.measurements import MEASUREMENTS, Measurement
from gahr.sampling.restoration import pseudo_inverse
from gahr.sampling.sampler import Sampler
from gahr.types import Array


class Problem(NamedTuple):
    """What is measured of an image."""

    clean: np.ndarray  # (H, W, C)
    measurement: Measurement
    observed: Array  # (...)
    sigma_observed: float  # level of the noise in it

    def constrain(self, sampler: Sampler, number: int, *, mean: float | Array) -> Sampler:
        """The sampler whose so many samples all have what was measured; the mean is that of its start."""
        rows = jnp.broadcast_to(self.observed, (number, *self.observed.shape))
        return constraint.constrain(sampler, self.measurement, rows, mean=mean, sigma_observed=self.sigma_observed)

    def pseudo_inverse(self) -> np.ndarray:
        """M c, (H, W, C)."""
        return np.asarray(pseudo_inverse(self.measurement, self.observed[None])[0])

    def words(self, samples: np.ndarray) -> str:
        """PSNR of the pseudo-inverse, of samples (N, H, W, C) and of their mean."""
        sets = self.pseudo_inverse()[None], samples, samples.mean(0, keepdims=True)
        start, single, middle = (np.asarray(metrics.psnr(self.clean[None], images)) for images in sets)
        spread = f"{single.mean():.2f} ({single.min():.2f} to {single.max():.2f})"
        return f"PSNR in dB: pseudo-inverse {start[0]:.2f}, one sample {spread}, mean of the samples {middle[0]:.2f}"


def problem_of(
    image: Path, name: str, options: Mapping[str, Any], *, size: int, channels: int, seed: int, sigma_observed: float
) -> Problem:
    """Problem of an image file.

    Args:
      image: its middle square is resized.
      name, options: of `gahr.sampling.measurements.MEASUREMENTS`.
      size, channels: of the image.
      seed: of what is measured and of its noise, where they are drawn.
      sigma_observed: level of the noise that is added, image units.

    Raises:
      ValueError: a file that cannot be read, or options that cannot be meant.
    """
    require(sigma_observed >= 0, "sigma_observed", sigma_observed, "a number from 0")
    key = jax.random.fold_in(jax.random.key(seed), 2**32 - 1)  # of no sample
    make, shape = pick("measurement", MEASUREMENTS, name), (size, size, channels)
    drawn = [jax.random.fold_in(key, 0)] if "key" in inspect.signature(make).parameters else []
    measurement = make(*drawn, shape, **options)
    clean = files.read_image(image, size=size, channels=channels)
    observed = measurement.measure(jnp.asarray(clean))
    noise = sigma_observed * jax.random.normal(jax.random.fold_in(key, 1), observed.shape)
    return Problem(clean, measurement, observed + noise, sigma_observed)
