"""Samples from a denoiser: functions that see it and random keys, nothing else."""

import functools

from gahr.sampling import (
    ancestral,
    annealed_langevin,
    blind,
    edm,
    euler,
    heun,
    langevin,
    multistep,
    reverse_diffusion,
)

SAMPLERS = {  # name -> sampler(**options) -> Sampler; all but the first are told sigma
    "blind": blind.sampler,
    "annealed_langevin": annealed_langevin.sampler,
    "langevin": langevin.sampler,
    "reverse_diffusion": reverse_diffusion.sampler,
    "ancestral": ancestral.sampler,
    "ddpm": functools.partial(ancestral.sampler, eta=1.0),
    "ddim": functools.partial(ancestral.sampler, eta=0.0),
    "euler": euler.sampler,
    "heun": heun.sampler,
    "multistep": multistep.sampler,
    "edm": edm.sampler,
}
