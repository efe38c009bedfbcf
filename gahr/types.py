"""Shared vocabulary. Images are (..., H, W, C) float32 with intensities in [0, 1]."""

import dataclasses
import inspect
from collections.abc import Callable
from typing import Any, Protocol

import jax
import numpy as np
from jax.tree_util import Partial

Array = jax.Array
Key = jax.Array  # typed key of jax.random.key
PyTree = Any
Sharding = jax.sharding.NamedSharding  # over which devices the first axis is spread

Denoiser = Callable[[Array], Array]  # noisy -> estimate of clean, any leading axes
NoiseDenoiser = Callable[[Array, Array], Array]  # (noisy, sigma) -> estimate of clean; sigma () or per image


def is_told(network: Any) -> bool:
    """Whether a network is told sigma: its call is (noisy, sigma, *, train), and not (noisy, *, train)."""
    return "sigma" in inspect.signature(type(network).__call__).parameters


def with_options(function: Callable, *arguments: PyTree, **options: Any) -> Partial:
    """A pytree of function, first arguments and options; equal ones compile once.

    Arguments and arrays among the options are leaves, the other options compare by value.
    """
    arrays = {name: value for name, value in options.items() if isinstance(value, jax.Array | np.ndarray)}
    static = tuple((name, value) for name, value in options.items() if name not in arrays)
    return Partial(_WithOptions(function, static), *arguments, **arrays)


@dataclasses.dataclass(frozen=True)
class _WithOptions:
    function: Callable
    options: tuple[tuple[str, Any], ...]

    @property
    def __signature__(self) -> inspect.Signature:
        return inspect.signature(self.function)

    def __call__(self, *arguments: Any, **arrays: Any) -> Any:
        return self.function(*arguments, **dict(self.options), **arrays)


class Progress(Protocol):
    """Shows how far long work is, and passes on a request to stop: `gahr.experiment.progress.Progress` is one."""

    def update(self, task: str, done: int, total: int, *, note: str = "") -> None:
        """Say that `done` of `total` units of `task` are finished; `note` is shown beside."""

    def check(self) -> None:
        """Raise where a stop was asked for."""
