"""Networks that JAX cannot trace, as denoisers: PyTorch modules, or any numpy function with its derivatives.

`torch` makes a denoiser of a module; it is `host`, which lets JAX call numpy functions, then `denoiser_of`, which
turns what a network predicts into an estimate of the clean image, and serves networks written in JAX as well.
"""

import importlib
import math
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gahr.names import pick, require
from gahr.types import Array, Denoiser, NoiseDenoiser

Network = Callable[..., Array]  # (images (..., H, W, C)[, level (...,)]) -> prediction, shape of the images
_IMAGE = (-3, -2, -1)
_PREDICTIONS = {  # (noisy, F, s, a) -> denoised, all in the network's units; a = 1 / (1 + s^2)
    "denoised": lambda noisy, output, sigma, share: output,
    "residual": lambda noisy, output, sigma, share: noisy - output,
    "epsilon": lambda noisy, output, sigma, share: noisy - sigma * output,
    "v": lambda noisy, output, sigma, share: share * noisy - sigma * jnp.sqrt(share) * output,
}
_BLIND = ("denoised", "residual")


def torch(
    module: Any,
    *,
    prediction: str,
    told: bool = False,
    alpha_bars: Any = None,
    intensities: tuple[float, float] = (0.0, 1.0),
) -> Denoiser | NoiseDenoiser:
    """Denoiser of a PyTorch module, whose value, J v and J^T v are computed by `torch.func`.

    It takes part in `jax.jit`, `vmap`, `linearize`, `jvp` and `vjp`; a batch, and the vectors pushed through one
    image together, are one call of the module. Limits: first derivatives by the image only, none by sigma or the
    weights; JAX on one process, and images go to the host and back at every call; float32; what the module raises
    comes as a `JaxRuntimeError` that quotes it. The module must treat the images of a batch apart from each other.

    Args:
      module: images (N, C, H, W) -> prediction of that shape, or something with it as `.sample`, as diffusers'
        networks; in evaluation mode, and called where its parameters are. Told sigma it takes (images, sigma (N,)),
        as EDM's preconditioned networks, and with `alpha_bars` (images, timestep (N,)).
      prediction, told, alpha_bars, intensities: as in `denoiser_of`; `scheduler.alphas_cumprod` is in diffusers
        what `alpha_bars` is, and (-1, 1) its usual intensities.

    Returns:
      noisy (..., H, W, C) -> denoised, or (noisy, sigma) -> denoised where the network is told, image units.

    Raises:
      ValueError: a module in training mode, or options that `denoiser_of` refuses.
      ImportError: PyTorch is missing; `pip install 'gahr[torch]'`.
    """
    library = _library()
    require(isinstance(module, library.nn.Module), "module", type(module).__name__, "a torch.nn.Module")
    if any(part.training for part in module.modules()):
        raise ValueError("module must be in evaluation mode: call module.eval() first")
    calls = _Module(library, module)
    network = host(calls.value, calls.push, calls.pull)
    alpha_bars = alpha_bars.detach().cpu().numpy() if isinstance(alpha_bars, library.Tensor) else alpha_bars
    return denoiser_of(network, prediction=prediction, told=told, alpha_bars=alpha_bars, intensities=intensities)


def denoiser_of(
    network: Network,
    *,
    prediction: str,
    told: bool = False,
    alpha_bars: Any = None,
    intensities: tuple[float, float] = (0.0, 1.0),
) -> Denoiser | NoiseDenoiser:
    """Denoiser of a network F that predicts something else, in other units.

    With m + w y and s = w sigma the noisy image and its noise level in the network's units (m, m + w are its
    intensities of black and white), and a = 1 / (1 + s^2):

        denoised: D = F      residual: D = y - F      epsilon: D = y - s F      v: D = a y - s sqrt(a) F

    "epsilon" predicts the noise of standard deviation one, "v" is sqrt(a) z - sqrt(1 - a) x. Where `alpha_bars` are
    given, F takes sqrt(a) y, the variance-preserving image sqrt(a) x + sqrt(1 - a) z, and the timestep at which
    alpha-bar is a, linear in log s between whole ones and the nearest beyond the first and the last.

    Args:
      network: blind, told sigma in its own units, or told the timestep; (...,), one per image.
      prediction: "denoised", "residual", "epsilon" or "v"; blind networks predict one of the first two.
      told: whether F takes sigma; where `alpha_bars` are given it takes the timestep in any case.
      alpha_bars: (T,) falling, between 0 and 1, of a variance-preserving (DDPM) network.
      intensities: black and white in the network's units.

    Returns:
      noisy -> denoised of a blind network, else (noisy, sigma () or per image) -> denoised, intensities in [0, 1].

    Raises:
      ValueError: an unknown prediction, one that needs sigma or `alpha_bars` of a network without, or levels or
        intensities that do not change in one direction.

    Reference: Ho et al. (2020), arXiv:2006.11239; Salimans and Ho (2022), arXiv:2202.00512, appendix D, for v;
    Karras et al. (2022), arXiv:2206.00364, appendix C, for the two forms.
    """
    estimate = pick("prediction", _PREDICTIONS, prediction)
    black, white = intensities
    require(black < white, "intensities", intensities, "(black, white), rising")
    schedule = None if alpha_bars is None else _log_sigmas(alpha_bars)
    if not told and schedule is None and prediction not in _BLIND:
        raise ValueError(f"prediction of a network that is not told sigma must be one of {', '.join(_BLIND)}")
    if schedule is None and prediction == "v":
        raise ValueError("prediction 'v' needs alpha_bars, the schedule that it is defined by")

    def noise_denoiser(noisy: Array, sigma: Array) -> Array:
        images = black + (white - black) * noisy
        level = jnp.broadcast_to((white - black) * jnp.asarray(sigma, noisy.dtype), noisy.shape[:-3])
        wide = jnp.expand_dims(level, _IMAGE)
        share = 1 / (1 + wide**2)
        if schedule is None:
            output = network(images, level)
        else:
            timesteps = jnp.arange(len(schedule), dtype=noisy.dtype)
            output = network(jnp.sqrt(share) * images, jnp.interp(jnp.log(level), schedule, timesteps))
        return (estimate(images, output, wide, share) - black) / (white - black)

    def denoiser(noisy: Array) -> Array:
        images = black + (white - black) * noisy
        return (estimate(images, network(images), None, None) - black) / (white - black)

    return noise_denoiser if told or schedule is not None else denoiser


def _log_sigmas(alpha_bars: Any) -> np.ndarray:
    """ln sqrt(1 / alpha-bar - 1) (T,), rising."""
    levels = np.asarray(alpha_bars, np.float64)
    fits = (
        levels.ndim == 1 and len(levels) > 1 and levels.min() > 0 and levels.max() < 1 and (np.diff(levels) < 0).all()
    )
    require(bool(fits), "alpha_bars", f"shape {levels.shape}", "a falling row of two or more between 0 and 1")
    return (np.log1p(-levels) - np.log(levels)).astype(np.float32) / 2


def host(value: Callable, push: Callable, pull: Callable) -> Network:
    """Function that calls numpy functions from JAX, differentiable once by the images, forward and backward.

    Args:
      value: (images (N, H, W, C), *levels (N,)) -> F of the same shape; each image apart from the others.
      push: (vectors (P, N, H, W, C), images, *levels) -> J v of each vector at its image, shape of the vectors.
      pull: the same with J^T v.

    Returns:
      (images (..., H, W, C), *levels (...,)) -> F of their shape, float32. Several vectors at one image, as
      `jax.vmap` of a linearized function makes them, are P; N are different images.
    """
    call, push, pull = partial(_call, value), partial(_call, push), partial(_call, pull)

    @jax.custom_jvp
    def network(images: Array, *levels: Array) -> Array:
        return call(images, *levels)

    @network.defjvp
    def products(primals: tuple, tangents: tuple) -> tuple[Array, Array]:
        once = [_constant(primal) for primal in primals]
        # J v is "solved for": of JAX's public functions this one takes a linear map together with its transpose
        pushed = jax.lax.custom_linear_solve(
            lambda vector: vector,
            tangents[0],
            lambda _, vector: push(*once, vector=vector),
            lambda _, vector: pull(*once, vector=vector),
        )
        return network(*primals), pushed

    return lambda images, *levels: network(images, *map(_constant, levels))


@jax.custom_jvp
def _constant(array: Array) -> Array:
    return array


@_constant.defjvp
def _refuse(primals: tuple, tangents: tuple) -> tuple[Array, Array]:
    raise ValueError("derivatives of a network outside of JAX must be first ones, by the image, not by sigma")


def _call(function: Callable, images: Array, *levels: Array, vector: Array | None = None) -> Array:
    """Call from JAX: leading axes that the images lack, of size one here, are vectors, the others are images."""
    result = jax.ShapeDtypeStruct(images.shape, jnp.float32)
    if vector is None:
        arrays = (images, *levels)
        return jax.pure_callback(partial(_values, function), result, *arrays, vmap_method="broadcast_all")
    arrays = (vector, images, *levels)
    return jax.pure_callback(partial(_products, function), result, *arrays, vmap_method="expand_dims")


def _values(function: Callable, images: Array, *levels: Array) -> np.ndarray:
    images, *levels = map(np.asarray, (images, *levels))
    flat = function(images.reshape(-1, *images.shape[-3:]), *(level.reshape(-1) for level in levels))
    return flat.reshape(images.shape)


def _products(function: Callable, vectors: Array, images: Array, *levels: Array) -> np.ndarray:
    vectors, images, *levels = map(np.asarray, (vectors, images, *levels))
    both = np.broadcast_shapes(vectors.shape, images.shape)
    lead, image = both[:-3], both[-3:]
    alone = tuple(i for i, size in enumerate(lead) if size > 1 and all(at.shape[i] == 1 for at in (images, *levels)))
    order = [*alone, *(i for i in range(len(both)) if i not in alone)]
    rows = np.broadcast_to(vectors, both).transpose(order)

    def at(array: np.ndarray, *rest: int) -> np.ndarray:
        """One row for each of the different images."""
        inner = rows.shape[len(alone) : -3]
        return np.broadcast_to(array.squeeze(alone), (*inner, *rest)).reshape(-1, *rest)

    count = math.prod(rows.shape[: len(alone)])
    found = function(rows.reshape(count, -1, *image), at(images, *image), *map(at, levels))
    return found.reshape(rows.shape).transpose(np.argsort(order))


def _library() -> Any:
    try:
        library = importlib.import_module("torch")
    except ModuleNotFoundError as error:
        raise ImportError("gahr.interop.torch needs PyTorch: pip install 'gahr[torch]'") from error
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):  # its own, at the first J v
        library.func.jvp(library.sin, (library.zeros(()),), (library.zeros(()),))
    return library


class _Module(NamedTuple):
    """The three functions that `host` takes, of a module."""

    library: Any
    module: Any

    def value(self, images: np.ndarray, *levels: np.ndarray) -> np.ndarray:
        with self.library.no_grad():
            images, *levels = map(self._tensor, (images, *levels))
            return self._array(self._forward(*levels)(images))

    def push(self, vectors: np.ndarray, images: np.ndarray, *levels: np.ndarray) -> np.ndarray:
        func = self.library.func
        with self.library.no_grad():
            vectors, images, *levels = map(self._tensor, (vectors, images, *levels))
            along = lambda vector: func.jvp(self._forward(*levels), (images,), (vector,))[1]
            return self._array(self._each(along, vectors))

    def pull(self, vectors: np.ndarray, images: np.ndarray, *levels: np.ndarray) -> np.ndarray:
        with self.library.no_grad():
            vectors, images, *levels = map(self._tensor, (vectors, images, *levels))
            _, pull = self.library.func.vjp(self._forward(*levels), images)
            return self._array(self._each(lambda vector: pull(vector)[0], vectors))

    def _each(self, function: Callable, vectors: Any) -> Any:
        """One call for all vectors; without `vmap` where there is one of them, as modules may not take that."""
        return function(vectors[0])[None] if len(vectors) == 1 else self.library.func.vmap(function)(vectors)

    def _forward(self, *levels: Any) -> Callable:
        def forward(images: Any) -> Any:
            output = self.module(images, *levels)
            output = getattr(output, "sample", output)
            if output.shape != images.shape:
                raise ValueError(f"the module maps shape {tuple(images.shape)} to {tuple(output.shape)}")
            return output

        return forward

    def _tensor(self, array: np.ndarray) -> Any:
        """Channels first, where the parameters are; a copy, since arrays of JAX cannot be written to."""
        first = next(self.module.parameters(), self.library.zeros(()))
        tensor = self.library.tensor(np.asarray(array), dtype=first.dtype, device=first.device)
        return tensor.movedim(-1, -3) if tensor.ndim > 1 else tensor

    def _array(self, tensor: Any) -> np.ndarray:
        return np.ascontiguousarray(tensor.detach().movedim(-3, -1).float().cpu().numpy())
