"""Shared vocabulary. Images are (..., H, W, C) float32 with intensities in [0, 1]."""

from collections.abc import Callable
from typing import Any

import jax

Array = jax.Array
Key = jax.Array  # typed key of jax.random.key
PyTree = Any

Denoiser = Callable[[Array], Array]  # noisy -> estimate of clean, any leading axes
NoiseDenoiser = Callable[[Array, Array], Array]  # (noisy, sigma) -> estimate of clean; sigma () or per image
