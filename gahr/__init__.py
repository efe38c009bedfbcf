"""gahr: geometry-adaptive harmonic representations in denoisers and diffusion models."""

__version__ = "0.1.0"
