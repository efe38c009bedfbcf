"""From a config to trained networks, figures and denoisers: all that knows configs, disks, clocks and terminals."""

import importlib
from typing import Any

_FACE = {  # name -> module it is in; brought in when it is asked for, since some of them load Orbax
    "plan": "planning",
    "run": "interactive",
    "train": "runs",
    "train_planned": "runs",
    "study": "figures",
    "study_planned": "figures",
    "load_denoiser": "networks",
    "load_network": "networks",
}
__all__ = list(_FACE)


def __getattr__(name: str) -> Any:
    if name not in _FACE:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    return getattr(importlib.import_module(f"{__name__}.{_FACE[name]}"), name)
