"""Samples from a denoiser: functions that see it and random keys, nothing else."""

from gahr.sampling import blind

SAMPLERS = {"blind": blind.sampler}  # name -> sampler(**options) -> Sampler
