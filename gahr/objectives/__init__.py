"""Objectives: `loss(network, variables, key, clean, *, teacher=None, ...) -> (value, updates)`.

`network` is of `gahr.denoiser.network_of`, `teacher` a `gahr.types.NoiseDenoiser` or None.
"""

from gahr.objectives import denoising

OBJECTIVES = {"denoising": denoising.loss}
