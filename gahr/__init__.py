"""gahr: geometry-adaptive harmonic representations in denoisers and diffusion models."""

from gahr.pretrained import load, shipped

__all__ = ["load", "shipped"]
__version__ = "0.1.0"
