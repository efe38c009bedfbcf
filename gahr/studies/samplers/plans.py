"""Which steps a sampler can take for so many calls of the denoiser."""

from typing import Any

import numpy as np

from gahr.names import pick, require
from gahr.sampling import SAMPLERS
from gahr.sampling.blind import expected_steps
from gahr.sampling.sampler import Sampler
from gahr.sampling.schedules import geometric, karras
from gahr.types import Array

BLIND = "blind"
ORDERS = {"euler": 1, "heun": 2, "multistep": 3}  # of the methods for the probability-flow ODE
_STEPS = {  # sampler -> steps for n calls in its steps
    "euler": lambda n: n,
    "multistep": lambda n: n - 1,  # two in the first
    "ancestral": lambda n: n,
    "reverse_diffusion": lambda n: n,
    "heun": lambda n: n // 2,
    "edm": lambda n: n // 2,
    "annealed_langevin": lambda n: n,
    BLIND: lambda n: n,
}
_PER_LEVEL = 4  # steps of annealed Langevin dynamics, each of 0.3 sigma^2
_FRACTION = 0.3
_BETA = 0.5  # of the blind sampler


def sampler(name: str, calls: int, *, sigma_max: float, sigma_min: float, **start: Any) -> Sampler:
    """Sampler from sigma_max to sigma_min in about so many calls of the denoiser, less the one at the end.

    Levels are Karras'; annealed Langevin dynamics has geometric ones, and four steps of 0.3 sigma^2 at each; the blind
    ascent has beta = 1/2 and the growing step that is so long.

    Args:
      name: one of those above.
      calls: n, at least 4.
      sigma_max, sigma_min: image units.
      start: mean and factor.

    Raises:
      ValueError: another name, or too few calls.
    """
    steps = pick("sampler", _STEPS, name)(calls)
    require(calls >= 4, "evaluations", calls, "4 at least")
    if name == BLIND:
        step_size = _step_size(steps, sigma_max, sigma_min)
        options = dict(step_size=step_size, beta=_BETA, growing=True, sigma_start=sigma_max, sigma_stop=sigma_min)
        return SAMPLERS[name](**options, **start)
    if name == "annealed_langevin":
        per_level = min(_PER_LEVEL, steps // 2)
        sigmas = geometric(sigma_max=sigma_max, sigma_min=sigma_min, num_levels=steps // per_level)
        options = dict(steps_per_level=per_level, step_size=_FRACTION * sigma_min**2)
        return SAMPLERS[name](sigmas=sigmas, **options, **start)
    return SAMPLERS[name](sigmas=levels(steps, sigma_max=sigma_max, sigma_min=sigma_min), **start)


def levels(steps: int, *, sigma_max: float, sigma_min: float) -> Array:
    """The levels (steps + 1,) of all but two samplers."""
    return karras(sigma_max=sigma_max, sigma_min=sigma_min, num_levels=steps + 1, zero=False)


def _step_size(steps: int, sigma_max: float, sigma_min: float) -> float:
    """The growing step that takes the blind sampler down in about so many steps, by bisection of its logarithm."""
    low, high = np.log(1e-4), np.log(0.9)
    for _ in range(30):
        middle = (low + high) / 2
        too_many = expected_steps(sigma_max, sigma_min, float(np.exp(middle)), _BETA, growing=True) > steps
        low, high = (middle, high) if too_many else (low, middle)
    return float(np.exp(high))
