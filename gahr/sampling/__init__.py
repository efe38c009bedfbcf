"""Samples from a denoiser: functions that see it and a random key, nothing else."""
