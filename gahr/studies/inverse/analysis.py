"""Linear inverse problems of Kadkhodaie and Simoncelli (2020), arXiv:2007.13640, by several methods.

Each method sees the same measurements: their pseudo-inverse, the best linear answer, plug-and-play and guided sampling
with the network's denoiser, and the constrained ascent, whose samples are looked at one by one and in the mean. The
same methods with the best linear denoiser say what the network adds.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial

from gahr import metrics
from gahr.classical.analytic import fit_gaussian, gaussian
from gahr.data import files
from gahr.denoiser import bind, blind, is_told
from gahr.models import published
from gahr.names import pick
from gahr.sampling import driver, guidance, inverse, restoration, schedules, splitting
from gahr.sampling.measurements import MEASUREMENTS, Measurement
from gahr.sampling.start import factor_of
from gahr.studies.inverse.linear import blind_linear
from gahr.studies.shared.measures import counter
from gahr.studies.shared.options import require_files, require_least
from gahr.studies.shared.study import Arrays, Runs
from gahr.types import Array, Denoiser, Key, Progress, Sharding

PSEUDO, WIENER, PLUG, GUIDED = "pseudo-inverse", "Wiener", "plug-and-play", "guided"
SAMPLE, MEAN, LINEAR_SAMPLE, LINEAR_MEAN = "one sample", "mean of samples", "linear, one sample", "linear, mean"
LINEAR_PLUG, LINEAR_GUIDED = "linear, plug-and-play", "linear, guided"
METHODS = (PSEUDO, WIENER, PLUG, GUIDED, SAMPLE, MEAN, LINEAR_PLUG, LINEAR_GUIDED, LINEAR_SAMPLE, LINEAR_MEAN)
_SIGMA_MIN, _SIGMA_MAX = 0.01, 1.0  # of plug-and-play and guidance
_PLUG_LEVELS, _GUIDED_LEVELS = 40, 100


def analyze(
    *,
    tasks: Mapping[str, Mapping[str, Any]],
    num_images: int = 4,
    num_samples: int = 8,
    num_fit: int = 4_000,
    step_size: float = 0.01,
    beta: float = 0.01,
    sigma_stop: float = 0.01,
    weights: str = "",
    path: str = "",
    size: int = 32,
) -> Callable:
    """Images from their measurements, by all methods.

    Args:
      tasks: name of `gahr.sampling.measurements.MEASUREMENTS` -> its options.
      num_images: test images.
      num_samples: of the ascent, of each image.
      num_fit: training images that the linear methods are fitted to; with `weights` crops of a photograph.
      step_size, beta, sigma_stop: of the ascent, as `gahr.sampling.inverse.solve`.
      weights: file of a published network of grey images (`gahr.models.published.load`), instead of a run.
      path: .npz of test images, `images` or one array a name, whose middle squares are taken; crops of a photograph
        where left out.
      size: side of the images, with `weights`.

    Returns:
      Function (one run, or none with `weights`, key, *, progress, sharding=None) -> arrays: tasks (T,), methods (M,);
      psnr, in dB, and ssim (T, M, I), of one sample those of the first; "singles/psnr" and "linear/psnr" (T, I, S);
      steps (T, I, S); diverged; clean (H, W, C) and "shown/TASK" (M, H, W, C) of the first image.

    Raises:
      ValueError: an option that cannot be used.
    """
    require_files(weights=weights, path=path)
    require_least(num_images=(num_images, 1), num_samples=(num_samples, 2), num_fit=(num_fit, 50), size=(size, 11))
    for name in tasks:
        pick("task", MEASUREMENTS, name)
    if path and not weights:
        raise ValueError("path belongs to weights= of published networks")
    ascent = dict(step_size=step_size, beta=beta, sigma_stop=sigma_stop)

    def analysis(runs: Runs, key: Key, *, progress: Progress, sharding: Sharding | None = None) -> Arrays:
        if weights:
            denoiser = _published(weights)
            clean = _test_images(path, num_images, size)
            fitted = jnp.asarray(files.crops(files.photograph(), size=size, number=num_fit))
        else:
            (run,) = runs.values()
            if run.denoiser is None:
                raise ValueError("the ascent is for networks that are not told sigma, and this one is told")
            denoiser = run.denoiser
            clean, fitted = run.images("test", num_images), run.images(run.subset, num_fit)
        law = jax.jit(fit_gaussian)(fitted)
        advance = counter(progress, 2 * len(tasks))
        found: dict[str, list] = {
            name: [] for name in ("psnr", "ssim", "singles/psnr", "linear/psnr", "steps", "diverged")
        }
        arrays: dict[str, Any] = {"tasks": list(tasks), "methods": METHODS, "clean": clean[0]}
        for i, (name, options) in enumerate(tasks.items()):
            task_key = jax.random.fold_in(key, i)
            measurement = _measurement(task_key, name, clean.shape[1:], options)
            how = dict(num_samples=num_samples, progress=progress, sharding=sharding, ascent=ascent)
            answers, traced = _answers(denoiser, law, measurement, clean, task_key, note=name, advance=advance, **how)
            images = jnp.stack([answers[method] for method in METHODS])  # (M, I, H, W, C)
            found["psnr"].append(metrics.psnr(clean[None], images))
            found["ssim"].append(metrics.ssim(clean[None], images))
            arrays[f"shown/{name}"] = images[:, 0]
            for quantity, values in traced.items():
                found[quantity].append(values)
        arrays |= {quantity: jnp.stack(values) for quantity, values in found.items()}
        return {quantity: np.asarray(value) for quantity, value in arrays.items()}

    return analysis


def _published(weights: str) -> Denoiser:
    model, variables = published.load(Path(weights))
    if published.channels(variables) != 1 or is_told(model):
        raise ValueError(f"weights: {weights} must take grey images, and not be told sigma")
    return bind(model, variables)


def _test_images(path: str, number: int, size: int) -> Array:
    """Middle squares (N, size, size, 1) of the images of a file, or crops of a photograph."""
    if not path:
        return jnp.asarray(files.crops(files.photograph(), size=size, number=number))
    with np.load(path) as stored:
        images = (
            list(stored["images"][:number]) if "images" in stored else [stored[name] for name in stored.files[:number]]
        )
    if len(images) < number:
        raise ValueError(f"path: {path} holds {len(images)} images, {number} are asked for")
    cut = []
    for image in images:
        grey = image.mean(-1) if image.ndim == 3 else image
        top, left = ((side - size) // 2 for side in grey.shape)
        if min(top, left) < 0:
            raise ValueError(f"size must be at most {min(grey.shape)}, the side of an image of {path}, got {size}")
        cut.append(grey[top : top + size, left : left + size, None])
    scale = 255 if np.issubdtype(cut[0].dtype, np.integer) or cut[0].max() > 1 else 1
    return jnp.asarray(np.stack(cut) / scale, jnp.float32)


def _measurement(key: Key, name: str, shape: tuple[int, ...], options: Mapping[str, Any]) -> Measurement:
    drawn = [jax.random.fold_in(key, 2**31)] if name.startswith("random_") else []
    return MEASUREMENTS[name](*drawn, tuple(shape), **options)


def _projection(measurement: Measurement) -> Measurement:
    """The same, with c = P x in the place of M^T x: all tasks then compile to one program, whose argument P is."""
    size = int(np.prod(measurement.shape))
    rows = measurement.project(jnp.eye(size).reshape(size, *measurement.shape)).reshape(size, size)
    return Measurement(Partial(_project, rows), Partial(_same), measurement.shape)


def _project(rows: Array, images: Array) -> Array:
    flat = images.reshape(*images.shape[:-3], -1)
    return jnp.matmul(flat, rows, precision="highest").reshape(images.shape)


def _same(observed: Array) -> Array:
    return observed


_plug_and_play = jax.jit(splitting.plug_and_play)


def _answers(
    denoiser: Denoiser,
    law: tuple[Array, Array, Array],
    measurement: Measurement,
    clean: Array,
    key: Key,
    *,
    num_samples: int,
    ascent: Mapping[str, float],
    note: str,
    advance: Callable[[str], None],
    progress: Progress,
    sharding: Sharding | None,
) -> tuple[dict[str, Array], dict[str, Array]]:
    """Images (I, H, W, C) by method; and of single samples what `analyze` returns (I, S)."""
    exact, told = measurement, blind(denoiser)
    measurement = _projection(measurement)
    observed = measurement.measure(clean)
    mean, eigenvalues, basis = law
    factor = factor_of(eigenvalues, basis)
    ends = dict(sigma_max=_SIGMA_MAX, sigma_min=_SIGMA_MIN)
    how = dict(chunk=len(clean), sharding=sharding, progress=progress)
    levels = schedules.karras(**ends, num_levels=_GUIDED_LEVELS, zero=False)
    guide = guidance.guided(measurement, observed, sigmas=levels, mean=mean, factor=factor)
    answers = {PSEUDO: restoration.pseudo_inverse(measurement, observed)}
    answers[WIENER] = restoration.wiener(exact, exact.measure(clean), mean=mean, factor=factor)
    coarse = schedules.geometric(**ends, num_levels=_PLUG_LEVELS)
    options = dict(final_denoise=True, note=f"{note}: guided", **how)
    for plug, guided, each in ((PLUG, GUIDED, told), (LINEAR_PLUG, LINEAR_GUIDED, gaussian(*law))):
        answers[plug] = _plug_and_play(each, measurement, observed, sigmas=coarse, start=answers[WIENER])
        answers[guided] = driver.sample(guide, each, key, clean.shape, **options)[0]
    advance(f"{note}: baselines")
    linear = blind_linear(*law, sigma_min=ascent["sigma_stop"] / 2, sigma_max=2.0)
    rows = jnp.repeat(observed, num_samples, 0)
    traced = {}
    for title, each in (("singles", denoiser), ("linear", linear)):
        options = dict(how, chunk=len(clean), note=f"{note}: {title}")
        samples, trace = inverse.solve(each, key, measurement, rows, **ascent, **options)
        samples = samples.reshape(len(clean), num_samples, *clean.shape[1:])
        answers |= dict(zip((SAMPLE, MEAN) if each is denoiser else (LINEAR_SAMPLE, LINEAR_MEAN),
                            (samples[:, 0], samples.mean(1)), strict=True))  # fmt: skip
        traced[f"{title}/psnr"] = metrics.psnr(clean[:, None], samples)
        if each is denoiser:
            traced |= {name: getattr(trace, name).reshape(len(clean), -1) for name in ("steps", "diverged")}
    advance(f"{note}: ascent")
    return answers, traced
