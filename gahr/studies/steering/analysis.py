"""Answers of a one-step generator to sines and other directions in its noise."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gahr import metrics
from gahr.analysis import steering
from gahr.analysis.jacobian import jacobian, singular_basis_of
from gahr.classical.analytic import fit_gaussian
from gahr.classical.flows import gaussian_flow
from gahr.denoiser import at
from gahr.names import require_positive
from gahr.sampling import ode
from gahr.sampling.sampler import normal
from gahr.studies.shared.measures import counter
from gahr.studies.shared.options import require_least, runs_named
from gahr.studies.shared.study import Arrays, Runs
from gahr.types import Array, Key, NoiseDenoiser, Progress, Sharding

ORDERS = (*((n, m) for n in range(1, 6) for m in range(1, 6)), (6, 6))  # of the sines
AMPLITUDES = (0.1, 0.3, 1.0, 3.0, 10.0)  # standard deviations of the coefficient that moves
SHOWN = 3  # of these amplitudes, the one drawn
MIXED = "0.7 of 4,3 and 0.3 of 6,6"  # of sines of one amplitude
READINGS = (14.0, 28**0.5 / 2)  # of the report's noise level, 28 or its root in units half as large
_MEAN = 0.5
_UNIT = 0.25  # norm over sqrt(d) of the report's sine, whose amplitude is 1 in units twice as small
_PATH = 21  # points of a path
_TARGETS = 8


def analyze(*, sigma: float = 14.0, sigma_min: float = 0.002, num_noises: int = 64, num_fit: int = 10_000) -> Callable:
    """Answers of the student, and of the flow of Gaussian images, to sines and to other directions.

    Args:
      sigma: noise level of the input, image units: the report's is 28, or its root, in units twice as large.
      sigma_min: where the student is the identity, image units.
      num_noises: inputs m + sigma z.
      num_fit: training images of mean and covariance, at most.

    Returns:
      Function (run "student" among the runs, key, *, progress, sharding=None) -> arrays: names (D,) of the directions
      and predicted (D,) gain; of "student" and "linear": gain, unsphered (the same without keeping the norm) and kept
      (cosine similarity with the undisturbed output), (D, A, n), and sine_share (D, n) of the change of the output that
      is the direction itself, and additivity (A, n); steered (3, 2, T): by sines, right singular vectors and white
      directions, predicted and reached; straightness and jump (2, n) of paths of sines and between noises; mixed, the
      report's combination, and "mixed/shown", its output; "reading S/WHO" (n,), how similar outputs are to undisturbed
      ones with directions as strong as the report's at its noise level S: one sine, mixed, and white; images.

    Raises:
      ValueError: an option that cannot be used.
    """
    require_positive(sigma=sigma, sigma_min=sigma_min)
    require_least(num_noises=(num_noises, 4), num_fit=(num_fit, 2))

    def analysis(runs: Runs, key: Key, *, progress: Progress, sharding: Sharding | None = None) -> Arrays:
        del sharding
        (student,) = runs_named(runs, "student")
        law = fit_gaussian(student.images(student.subset, num_fit))
        shape, (key_noise, key_white) = law[0].shape, jax.random.split(key)
        noisy = _MEAN + sigma * normal(jax.random.split(key_noise, num_noises), shape)
        images = student.images(student.subset, 2)
        directions = _directions(shape, key_white, images[0] - images[1])
        functions = {"student": student.noise_denoiser, "linear": gaussian_flow(*law, sigma_min=sigma_min)}
        gains = [steering.gaussian_gain(*law[1:], each, sigma) for each in directions.values()]
        arrays: dict[str, Any] = {"sigma": sigma, "names": list(directions), "predicted": gains}
        advance = counter(progress, len(functions) * len(directions) + 2 + _TARGETS)
        amplitudes = sigma * jnp.array(AMPLITUDES)
        for who, function in functions.items():
            rows = []
            for name, direction in directions.items():
                rows.append(_answers(function, noisy, direction, amplitudes, sigma))
                advance(f"{who}: {name}")
            arrays |= {f"{who}/{name}": jnp.stack([row[name] for row in rows]) for name in rows[0]}
        shown = arrays.pop("student/shown")
        arrays.pop("linear/shown")
        function = at(student.noise_denoiser, sigma)
        arrays |= {"shown": shown, "undisturbed": function(noisy[:1])[0]}
        one, other = directions["sine 4,3"], directions["sine 6,6"]
        mixed = 0.7 * one + 0.3 * other
        away = steering.moved(noisy[:1], mixed, amplitudes[SHOWN], mean=_MEAN)
        arrays |= {"mixed": mixed, "mixed/shown": function(away)[0]}
        for reading in READINGS:
            level = _MEAN + (noisy - _MEAN) * (reading / sigma)
            for name, direction in (("one", one), ("mixed", mixed), ("white", directions["white"])):
                kept = _kept_by_unit(student.noise_denoiser, level, direction, jnp.float32(reading))
                arrays[f"reading {reading:.3g}/{name}"] = kept
        for who, each in functions.items():
            arrays[f"{who}/additivity"] = _additivity(each, noisy, one, other, amplitudes, sigma)
        advance("additivity")
        arrays |= _paths(student.noise_denoiser, noisy, one, other, sigma)
        advance("paths")
        sines, found = jnp.stack([directions[f"sine {n},{m}"] for n, m in ORDERS]), []
        white = jax.vmap(lambda k: metrics.unit(jax.random.normal(k, shape), centred=False))(
            jax.random.split(key_white, len(ORDERS))
        )
        for t in range(min(_TARGETS, num_noises - 1)):
            found.append(_steered(student.noise_denoiser, noisy[t], noisy[t + 1], sines, white, sigma))
            advance("towards targets")
        arrays["steered"] = jnp.stack(found, -1)
        return {quantity: np.asarray(value) for quantity, value in arrays.items()}

    return analysis


def _directions(shape: tuple[int, int, int], key: Key, difference: Array) -> dict[str, Array]:
    """Sines, and others of norm 1: the same shifted, white noise, and the difference of two images."""
    found = {f"sine {n},{m}": steering.sine(n, m, shape) for n, m in ORDERS}
    quarter = np.pi / 2
    found |= {f"{name} 4,3": steering.sine(4, 3, shape, phases=phases) for name, phases in (
        ("cos sin", (quarter, 0.0)), ("sin cos", (0.0, quarter)), ("cos cos", (quarter, quarter)),
    )}  # fmt: skip
    return found | {
        "white": metrics.unit(jax.random.normal(key, shape), centred=False),
        "two images": metrics.unit(difference, centred=False),
    }


@jax.jit
def _answers(
    noise_denoiser: NoiseDenoiser, noisy: Array, direction: Array, amplitudes: Array, sigma: Array
) -> dict[str, Array]:
    function = at(noise_denoiser, sigma)
    before = function(noisy)

    def one(amplitude: Array) -> dict[str, Array]:
        found = steering.respond(function, noisy, direction, amplitude, mean=_MEAN)
        free = steering.respond(function, noisy, direction, amplitude, mean=_MEAN, renormalise=False)
        along = jnp.sum((found.output - before) * direction[None], (1, 2, 3)) ** 2
        return {
            "gain": found.gain,
            "unsphered": free.gain,
            "kept": metrics.cosine_similarity(found.output, before),
            "sine_share": along / found.change**2,
            "shown": found.output[0],
        }

    found = jax.lax.map(one, amplitudes)
    return found | {"shown": found["shown"][SHOWN], "sine_share": found["sine_share"][2]}


@jax.jit
def _kept_by_unit(noise_denoiser: NoiseDenoiser, noisy: Array, direction: Array, sigma: Array) -> Array:
    """Similarity (n,) to the undisturbed output with a direction of norm 1 as strong as the report's sine."""
    function, amplitude = at(noise_denoiser, sigma), _UNIT * np.sqrt(direction.size)
    other = steering.respond(function, noisy, direction, amplitude, mean=_MEAN)
    return metrics.cosine_similarity(other.output, function(noisy))


@jax.jit
def _additivity(
    noise_denoiser: NoiseDenoiser, noisy: Array, one: Array, other: Array, amplitudes: Array, sigma: Array
) -> Array:
    """|answer to 0.7 a + 0.3 b - 0.7 answer to a - 0.3 answer to b| over the first, (A, n): 0 where f is linear."""
    function = at(noise_denoiser, sigma)
    before, norm = function(noisy), lambda images: jnp.sqrt(jnp.sum(images**2, (1, 2, 3)))

    def rest(amplitude: Array) -> Array:
        both, first, second = (
            steering.respond(function, noisy, each, amplitude, mean=_MEAN, renormalise=False).output - before
            for each in (0.7 * one + 0.3 * other, one, other)
        )
        return norm(both - 0.7 * first - 0.3 * second) / norm(both)

    return jax.lax.map(rest, amplitudes)


@jax.jit
def _paths(noise_denoiser: NoiseDenoiser, noisy: Array, one: Array, other: Array, sigma: Array) -> dict[str, Array]:
    """Straightness and largest step of outputs from one sine to another, of 3 standard deviations, and from z to z'."""
    function, share = at(noise_denoiser, sigma), jnp.linspace(0, 1, _PATH)
    angle = share[:, None, None, None] * jnp.pi / 2
    turned = jnp.cos(angle) * one[None] + jnp.sin(angle) * other[None]

    def of(pair: tuple[Array, Array]) -> tuple[steering.Path, steering.Path]:
        start, end = pair
        sines = steering.moved(jnp.broadcast_to(start, turned.shape), turned, 3 * sigma, mean=_MEAN)
        between = ode.slerp(start, end, share, mean=_MEAN)
        return steering.path(function(sines)), steering.path(function(between))

    found = jax.lax.map(of, (noisy, jnp.roll(noisy, 1, 0)))
    return {name: jnp.stack([getattr(each, name) for each in found]) for name in steering.Path._fields}


@jax.jit
def _steered(
    noise_denoiser: NoiseDenoiser, noisy: Array, other: Array, sines: Array, white: Array, sigma: Array
) -> Array:
    """Cosine of the wanted change and that of 3 standard deviations: (3 kinds of directions, predicted and reached)."""
    function = lambda image: noise_denoiser(image[None], sigma)[0]
    before = function(noisy)
    wanted, found = function(other) - before, []
    right = singular_basis_of(jacobian(function, noisy), noisy.shape).right[: len(sines)]
    for directions in (sines, right, white):
        steered = steering.towards(function, noisy, directions, wanted)
        there = steering.moved(noisy[None], steered.direction, 3 * sigma, mean=_MEAN)[0]
        reached = function(there) - before
        cosine = jnp.vdot(reached, wanted) / (jnp.linalg.norm(reached.ravel()) * jnp.linalg.norm(wanted.ravel()))
        found.append(jnp.stack([steered.predicted, cosine]))
    return jnp.stack(found)
