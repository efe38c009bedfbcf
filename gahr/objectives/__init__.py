"""Objectives: `loss(network, variables, key, clean, *, teacher=None, ...) -> (value, updates)`.

`network` is of `gahr.denoiser.network_of`, `teacher` a `gahr.types.NoiseDenoiser` or None. One with an option `step`
is given the number of training steps done.
"""

from gahr.objectives import consistency, continuous, denoising

OBJECTIVES = {"denoising": denoising.loss, "consistency": consistency.loss, "continuous": continuous.loss}
