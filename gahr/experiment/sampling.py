"""Samples of a trained network, drawn in parts that are kept, so that what is interrupted goes on."""

import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from gahr.denoiser import bind_told
from gahr.experiment import hosts, pictures, storage
from gahr.experiment.choice import BLIND, Choice, choose
from gahr.experiment.problem import Problem, problem_of
from gahr.experiment.source import Source, shape_of, source_of, start_of
from gahr.names import require_whole
from gahr.sampling import driver
from gahr.types import Progress, PyTree, Sharding

_NUM_FRAMES = 60
_NUM_MOVING = 16  # samples in an animation
_PIECE = 4  # steps between two looks at the clock
_FIT = 1000  # training images that the start has mean and covariance of


def draw_to(
    name: str,
    out: Path,
    *,
    run: str | None = None,
    step: int | None = None,
    number: int = 16,
    seed: int = 0,
    size: int | None = None,
    sampler: str | None = None,
    schedule: str | None = None,
    given: Sequence[str] = (),
    fit: int | None = None,
    image: Path | None = None,
    measurement: str | None = None,
    sigma_observed: float = 0.0,
    final_denoise: bool = True,
    animation: str | None = None,
    chunk: int = 16,
    progress: Progress,
) -> str:
    """Draw samples of a network by its name, and write them to a file that must not exist yet.

    Args:
      name, run, step: network, as `gahr.experiment.source.source_of`.
      out, animation: files, as `gahr.experiment.pictures.write` and `animate`.
      size: as `gahr.experiment.source.shape_of`.
      image, sigma_observed: an image to restore, as `gahr.experiment.problem.problem_of`.
      sampler, schedule, measurement, given: as `gahr.experiment.choice.choose`.
      fit: as `draw`; None for 1000 where images of the size are known, but for the blind sampler
        of an image to restore.
      number, seed, final_denoise, chunk, progress: as `draw`.

    Returns:
      What was done, in one line.

    Raises:
      ValueError, OSError: what cannot be meant, before any work; as `draw`.
    """
    out = Path(out)
    begun = _folder(out) / "animation"  # which animation a killed call was to write
    for file in filter(None, (out, animation and Path(animation))):
        if file.exists() and not (file != out and begun.exists() and begun.read_text() == str(file)):
            raise ValueError(f"{file} exists; give another name, or remove it")
    if (image is None) != (measurement is None):
        raise ValueError("--image and --measurement belong together: of what, and how much of it, is known")
    if image is None and sigma_observed:
        raise ValueError("--sigma_observed belongs to --image")
    pictures.kind_of(out)
    if animation:
        pictures.format_of(Path(animation))
    source = source_of(name, run=run, step=step)
    choice = choose(source, name=sampler, schedule=schedule, measurement=measurement, given=given)
    shape = shape_of(source, size=size)
    problem = None
    if image is not None:
        how = dict(size=shape[0], channels=shape[2], seed=seed, sigma_observed=sigma_observed)
        problem = problem_of(image, measurement, choice.measured, **how)
    if fit is None:
        wanted = (image is None or choice.name != BLIND) and "mean" not in choice.options
        fit = _FIT if wanted and source.section is not None and shape == shape_of(source, size=None) else 0
    options = dict(number=number, shape=shape, seed=seed, fit=fit, final_denoise=final_denoise, chunk=chunk)
    sharding = hosts.spread() if jax.device_count() > 1 else None
    options |= dict(problem=problem, moving=bool(animation), sharding=sharding, progress=progress)
    drawn = draw(source, choice, out, **options)
    first = {} if problem is None else dict(clean=problem.clean, pseudo_inverse=problem.pseudo_inverse())
    arrays = dict(steps=drawn.steps, diverged=drawn.diverged, seed=seed, sampler=str(choice))
    if animation:  # before `out`, with which all is done
        begun.write_text(str(Path(animation)))
        moving = drawn.images[: drawn.frames.shape[1]]
        pictures.animate(Path(animation), drawn.frames[:, : len(moving)], drawn.denoised[:, : len(moving)], moving)
    pictures.write(out, drawn.images, first=first, **arrays)
    finish(out)
    lost = drawn.steps[drawn.diverged]
    lost = f"; {len(lost)} diverged, the first at step {lost.min()}" if len(lost) else ""
    return f"{out}: {number} images {shape[0]}x{shape[1]} by {choice}, {drawn.steps.max()} steps{lost}" + (
        "" if problem is None else f"; {problem.words(drawn.images)}"
    )


class Drawn(NamedTuple):
    images: np.ndarray  # (N, H, W, C) not clipped
    steps: np.ndarray  # (N,)
    diverged: np.ndarray  # (N,) bool
    frames: np.ndarray | None  # (F, n, H, W, C) of the first samples
    denoised: np.ndarray | None  # (F, n, H, W, C)


def draw(
    source: Source,
    choice: Choice,
    out: Path,
    *,
    number: int,
    shape: tuple[int, int, int],
    seed: int = 0,
    fit: int = 0,
    problem: Problem | None = None,
    final_denoise: bool = True,
    moving: bool = False,
    chunk: int = 16,
    sharding: Sharding | None = None,
    progress: Progress,
) -> Drawn:
    """Samples, a part at a time, each part kept as a complete file in OUT.parts until `finish` removes them.

    Called again after an interruption it goes on with the parts that are there; they are the same bit for bit. With
    any other argument it starts over. Sample i does not depend on how many others there are.

    Args:
      source, choice: network and sampler.
      out: what the samples are for.
      number, shape: N samples (H, W, C).
      seed: of the samples.
      fit: training images whose mean and covariance the start has (`start_of`); 0 for noise about the sampler's mean.
      problem: what the samples have to fit.
      final_denoise: return D(y).
      moving: keep frames of the first samples.
      chunk: samples in a part, at most.
      sharding: their devices, as `gahr.blocks.in_chunks`.
      progress: shows steps and asks for stops.

    Returns:
      Drawn.

    Raises:
      ValueError: a number out of its range, or all samples diverged; the message says at which step.
    """
    require_whole("number", number)
    require_whole("chunk", chunk)
    require_whole("fit", fit, least=0)
    parts = -(-number // chunk)
    chunk = -(-number // parts)  # all of one size, which compile once
    settings = dict(
        network=_digest(source.variables), model=str(source.model), sampler=choice._asdict(), number=number,
        problem=_digest(problem), shape=shape, seed=seed, fit=fit, final_denoise=final_denoise, moving=moving,
        chunk=chunk,
    )  # fmt: skip
    start, folder = start_of(source, fit) if fit else {}, _folder(out)
    with storage.alone(folder, otherwise=f"another process draws {out}; wait for it, or give another name"):
        _keep_if_same(folder, json.dumps(settings, default=float))
        sampler, steps = choice.sampler(**start), choice.steps()
        if problem is not None:
            mean = (start or choice.options).get("mean", 0.5)
            sampler = problem.constrain(sampler, chunk, mean=mean)
        denoiser = source.denoiser if choice.name == BLIND else bind_told(source.model, source.variables)
        options = dict(final_denoise=final_denoise, chunk=chunk, sharding=sharding, piece=_PIECE)
        found = []
        for part in range(parts):
            file = folder / f"{part:05d}.npz"
            if not file.exists():
                every = max(1, -(-steps // _NUM_FRAMES)) if moving and part == 0 else 0
                shown = _Shown(progress, part, steps, parts)
                images, trace = driver.sample(
                    sampler, denoiser, jax.random.key(seed), (chunk, *shape), first=part * chunk, frame_every=every,
                    progress=shown, **options,
                )  # fmt: skip
                arrays = dict(images=images, steps=trace.steps, diverged=trace.diverged)
                if every:
                    arrays |= {name: getattr(trace, name)[:, :_NUM_MOVING] for name in ("frames", "denoised")}
                arrays = {name: np.asarray(value) for name, value in arrays.items()}
                storage.write_whole(file, lambda content, arrays=arrays: np.savez(content, **arrays))
            with np.load(file) as stored:
                found.append(dict(stored))
            progress.update(
                "steps", (part + 1) * steps, parts * steps, note=f"{min(number, (part + 1) * chunk)} samples"
            )
    rows = [np.concatenate([each[name] for each in found])[:number] for name in ("images", "steps", "diverged")]
    if rows[2].all():
        raise ValueError(f"all samples diverged, the first at step {rows[1].min()}: {choice}")
    return Drawn(*rows, *(found[0].get(name) for name in ("frames", "denoised")))


def finish(out: Path) -> None:
    """Remove the parts of `draw`, once what they are for is written."""
    shutil.rmtree(_folder(out), ignore_errors=True)


def _folder(out: Path) -> Path:
    return out.with_name(f"{out.name}.parts")


def _keep_if_same(folder: Path, settings: str) -> None:
    """Remove parts of other settings."""
    file = folder / "settings.json"
    if not file.exists() or file.read_text() != settings:
        for part in folder.glob("*.npz"):
            part.unlink()
        storage.write_whole(file, lambda content: content.write(settings.encode()))


def _digest(tree: PyTree) -> str:
    content = hashlib.sha256()
    for leaf in jax.tree.leaves(tree):
        content.update(np.asarray(leaf).tobytes())
    return content.hexdigest()


class _Shown:
    """What the driver tells of a part, as steps of all parts."""

    def __init__(self, progress: Progress, part: int, steps: int, parts: int):
        self._progress, self._part, self._steps, self._total, self._taken = progress, part, steps, parts * steps, 0

    def check(self) -> None:
        self._progress.check()

    def update(self, task: str, done: int, total: int, *, note: str = "") -> None:
        self._taken = min(self._taken + _PIECE, self._steps)  # the blind sampler may take more
        self._progress.update("steps", self._part * self._steps + self._taken, self._total, note=note)
