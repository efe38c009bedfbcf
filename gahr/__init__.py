"""gahr: geometry-adaptive harmonic representations in denoisers and diffusion models."""

from typing import Any

from gahr.pretrained import load, shipped

__all__ = ["load", "run", "shipped"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name != "run":
        raise AttributeError(f"module {__name__} has no attribute {name}")
    from gahr.experiment.interactive import run  # brought in when it is asked for, since it loads Orbax

    return run
