"""A denoiser is a plain function of an image; here is how to get one from a network or a noise level."""

import dataclasses
from collections.abc import Callable
from typing import Any

from jax.tree_util import Partial

from gahr.types import Array, Denoiser, Key, NoiseDenoiser, PyTree, is_told


def bind(model: Any, variables: PyTree) -> Denoiser:
    """Denoiser of a trained network in evaluation mode: D(y) = y - network(y).

    In evaluation mode the networks of `gahr.models` are bias-free, D(c y) = c D(y) for c > 0 and D(y) = J(y) y,
    and differentiable in both modes (`jax.jvp`, `jax.linearize`, `jax.vjp`).

    Args:
      model: module whose `apply(variables, noisy, train=False)` is the residual.
      variables: {"params": ..., "batch_stats": ...}, held by the returned function.

    Returns:
      Function noisy (..., H, W, C) -> denoised of the same shape. Not jitted. It is a pytree whose leaves are the
      variables, so it can also be an argument of a jitted function, which keeps them out of the compiled code.
    """
    return Partial(_Denoise(model), variables)


def bind_told(model: Any, variables: PyTree) -> NoiseDenoiser:
    """`bind` with the noise level beside the image: (noisy, sigma) -> denoised. A blind network ignores sigma."""
    return Partial(_Denoise(model), variables) if is_told(model) else blind(bind(model, variables))


def network_of(model: Any) -> Callable[..., tuple[Array, PyTree]]:
    """One form of all networks, for training.

    Returns:
      Function (variables, noisy, sigma, *, train, key=None) -> (residual y - D(y), updates). A blind network ignores
      sigma, () or per image (N,); a key turns dropout on; updates are what changes besides the parameters,
      {"batch_stats": ...} or nothing.
    """
    told = is_told(model)

    def network(
        variables: PyTree, noisy: Array, sigma: Array, *, train: bool, key: Key | None = None
    ) -> tuple[Array, PyTree]:
        inputs, keys = (noisy, sigma) if told else (noisy,), {} if key is None else {"dropout": key}
        return model.apply(variables, *inputs, train=train, mutable=["batch_stats"] if train else [], rngs=keys)

    return network


def as_argument(function: Callable) -> Partial:
    """The same function as a pytree, so that it can be an argument of a jitted function; `bind` makes one already."""
    return function if isinstance(function, Partial) else Partial(function)


@dataclasses.dataclass(frozen=True)
class _Denoise:
    """Compares equal for equal models, so that jitted functions serve all networks of one shape."""

    model: Any

    def __call__(self, variables: PyTree, noisy: Array, *sigma: Array) -> Array:
        return noisy - self.model.apply(variables, noisy, *sigma, train=False)


def at(noise_denoiser: NoiseDenoiser, sigma: Array) -> Denoiser:
    """Denoiser for one noise level: y -> noise_denoiser(y, sigma), sigma in image units; a pytree, as `bind` makes."""
    return Partial(_at, as_argument(noise_denoiser), sigma)


def _at(noise_denoiser: NoiseDenoiser, sigma: Array, noisy: Array) -> Array:
    return noise_denoiser(noisy, sigma)


def blind(denoiser: Denoiser) -> NoiseDenoiser:
    """View of a blind denoiser as one that is told sigma, and ignores it; a pytree, as `bind` makes."""
    return Partial(_without_sigma, as_argument(denoiser))


def _without_sigma(denoiser: Denoiser, noisy: Array, sigma: Array) -> Array:
    del sigma
    return denoiser(noisy)


def residual(denoiser: Denoiser, noisy: Array) -> Array:
    """y - D(y): the estimate of sigma z, shape of `noisy`, image units."""
    return noisy - denoiser(noisy)


def score(denoiser: Denoiser, noisy: Array, sigma: Array) -> Array:
    """Gradient of the log density of noisy images, (D(y) - y) / sigma^2 (Miyasawa 1961; Tweedie).

    Args:
      denoiser: estimate of the posterior mean E[x | y].
      noisy: images (..., H, W, C).
      sigma: noise level in image units, () or one per image (...,).

    Returns:
      score, shape of `noisy`, in 1 / image units.
    """
    if getattr(sigma, "ndim", 0):
        sigma = sigma.reshape(*sigma.shape, 1, 1, 1)
    return (denoiser(noisy) - noisy) / sigma**2
