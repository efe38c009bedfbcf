"""Networks trained here on synthetic images, shipped with gahr: each a NAME.safetensors, and a NAME.json about it.

`launch/ship.py` makes both from a run directory. What the JSON holds, for networks with `describe`, needs no JAX.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gahr.names import suggest

if TYPE_CHECKING:
    from gahr.types import Denoiser, NoiseDenoiser, PyTree

_FOLDER = Path(__file__).parent
_SUFFIX = ".safetensors"


def shipped() -> list[str]:
    """Names of the networks that come with gahr, for `load`."""
    return sorted(path.stem for path in _FOLDER.glob(f"*{_SUFFIX}"))


def load(weights: str) -> "Denoiser | NoiseDenoiser":
    """Denoiser of a network that comes with gahr, or that `launch/ship.py` made.

    Args:
      weights: its name, one of `shipped()`, or a path that ends in .safetensors.

    Returns:
      noisy (..., H, W, C) -> denoised, float32, as `gahr.denoiser.bind`; (noisy, sigma) -> denoised, or the end of the
      trajectory, of a network that is told sigma.

    Raises:
      ValueError: no such name or file, or a file that cannot be read.
    """
    from gahr.denoiser import bind, bind_told, is_told

    model, variables = network(weights)
    return (bind_told if is_told(model) else bind)(model, variables)


def network(weights: str) -> "tuple[Any, PyTree]":
    """Network (model, variables float32); arguments and errors as in `load`."""
    from gahr.models import MODELS
    from gahr.models.stored import import_arrays

    variables, description = import_arrays(file_of(weights))
    section = dict(description["model"])
    return MODELS[section.pop("name")](**section), variables


def describe(weights: str) -> dict[str, Any]:
    """What is known of a network: how it was trained, and how well it denoises.

    Returns:
      run: its section of the config; seed: of its images; scale; psnr: sigmas, test and train, dB, in the mean over so
      many images with the noise of that key, and what float16 costs; card: lines of
      `gahr.analysis.identities.card_lines` on test images; trained: hours, devices and versions.

    Raises:
      ValueError: as `load`.
    """
    return json.loads(_described(file_of(weights)).read_text())


def is_described(weights: str) -> bool:
    """Whether `describe` knows a network, by name or file; files of others' networks have no JSON beside them."""
    return weights in shipped() or (weights.endswith(_SUFFIX) and _described(Path(weights)).is_file())


def file_of(weights: str) -> Path:
    """File of a network by its name or path; errors as in `load`."""
    path = Path(weights) if weights.endswith(_SUFFIX) else _FOLDER / f"{weights}{_SUFFIX}"
    if not path.is_file():
        raise ValueError(f"there is no shipped network {weights!r}{suggest(weights, shipped())}")
    return path


def _described(path: Path) -> Path:
    return path.with_suffix(".json")
