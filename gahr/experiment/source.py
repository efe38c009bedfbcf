"""Networks to draw samples from: of a run directory, shipped, or published; the shape and law of their images."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gahr import pretrained
from gahr.data.dataset import Dataset
from gahr.denoiser import bind, bind_told
from gahr.experiment import build, storage
from gahr.experiment.networks import load_network
from gahr.models import published
from gahr.names import suggest
from gahr.types import Array, Denoiser, NoiseDenoiser, PyTree, is_told


class Source(NamedTuple):
    """A trained network, and what is known of its images."""

    model: Any
    variables: PyTree
    section: Mapping[str, Any] | None  # of its run in the config; None for published weights
    seed: int  # of its images

    @property
    def denoiser(self) -> Denoiser | NoiseDenoiser:
        """As `gahr.experiment.load_denoiser`."""
        return (bind_told if is_told(self.model) else bind)(self.model, self.variables)


def source_of(name: str, *, run: str | None = None, step: int | None = None) -> Source:
    """Network by the name of a run directory, a shipped network or a file of weights.

    Args:
      name: directory; name as `gahr.pretrained.load` takes it; or file as `gahr.models.published.load`.
      run, step: of a directory, as `gahr.experiment.load_denoiser`.

    Raises:
      ValueError: none of these, or a run or step of what is no directory.
      OSError: a file that cannot be read.
    """
    path = Path(name)
    if path.is_dir():
        config = storage.read_config(path)["config"]
        network = load_network(path, run=run, step=step)
        section = config["runs"][run or next(iter(config["runs"]))]
        return Source(*network, section if "data" in section else None, config.get("seed", 0))
    if run is not None or step is not None:
        raise ValueError(f"--{'step' if run is None else 'run'} is for run directories, and {name} is none")
    if pretrained.is_described(name):
        described = pretrained.describe(name)
        return Source(*pretrained.network(name), described["run"], described["seed"])
    if path.is_file():
        return Source(*published.load(path), None, 0)
    known = suggest(name, pretrained.shipped()) if pretrained.shipped() else ""
    raise ValueError(f"{name} is no run directory, file of weights or shipped network{known}")


def shape_of(source: Source, *, size: int | None = None) -> tuple[int, int, int]:
    """(H, W, C) of the samples: of the images of training, or of another side.

    Raises:
      ValueError: no side known or given, or one that the network cannot take.
    """
    if source.section is None:
        if size is None:
            raise ValueError("--size is needed: published weights do not tell the side of their images")
        shape = (size, size, published.channels(source.variables))
    else:
        known = _images(source).shape
        shape = known if size is None else (size, size, known[-1])
    inputs = (jax.ShapeDtypeStruct((1, *shape), jnp.float32), jax.ShapeDtypeStruct((1,), jnp.float32))
    jax.eval_shape(bind_told(source.model, source.variables), *inputs)  # says which sides it takes
    return shape


def _images(source: Source) -> Dataset:
    return build.build(source.section, "data", seed=source.seed).dataset


def start_of(source: Source, number: int) -> dict[str, Array]:
    """Mean (H, W, C), and factor (N, H, W, C) of the covariance, of so many training images.

    The factor is (x_i - m) / sqrt(N), whose squares sum to the covariance.

    Raises:
      ValueError: the images are not known.
    """
    if source.section is None:
        raise ValueError("--fit needs training images, which published weights do not tell")
    dataset, section = _images(source), source.section
    index = jnp.arange(min(number, section["set_size"]))
    take = jax.jit(dataset.take, static_argnames="subset")
    images = take(index, subset=section["subset"], set_size=np.int32(section["set_size"]))
    mean = images.mean(0)
    return {"mean": mean, "factor": (images - mean[None]) / math.sqrt(len(images))}
