"""Train the networks that a config lists, each from where it is."""

import contextlib
import functools
from collections.abc import Callable, Mapping
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial

from gahr import denoiser, pretrained
from gahr.analysis.performance import psnr_curve
from gahr.experiment import build, hosts, loop, report, storage
from gahr.experiment.checkpoint import Checkpoints
from gahr.experiment.networks import load_network
from gahr.experiment.planning import WEIGHTS, Plan, plan
from gahr.experiment.progress import Progress
from gahr.models.stored import export_arrays
from gahr.training import TrainState
from gahr.types import Array, NoiseDenoiser

_EVALUATION_IMAGES = 32
_EVALUATION_SIGMA = 0.1  # 20 dB
_MANY = 8  # runs whose states are shown together


def train(config: Mapping, workdir: Path, *, only: str = "*", progress: Progress | None = None) -> None:
    """Train every run of the config that is not finished, each from its last checkpoint.

    Args:
      config: as `configs/` make it.
      workdir: run directory, made if absent.
      only: pattern of run names, such as "alpha3*"; the others are left as they are.
      progress: shows the state and asks for stops.

    Raises:
      ValueError, OSError: bad config or directory, before any work.
      Interrupted, FloatingPointError: see `gahr.experiment.loop.fit`.
    """
    train_planned(plan(config, workdir, only=only), progress=progress)


def train_planned(planned: Plan, *, progress: Progress | None = None) -> None:
    """`train` for what `gahr.experiment.plan` has made of a config."""
    progress, workdir = progress or Progress(), planned.workdir
    if hosts.is_first():
        storage.claim(workdir, planned.config)
    for name in planned.chosen:
        if planned.finished(name):
            progress.line(f"{name}: already trained, {workdir / name / WEIGHTS}")
            continue
        if len(planned.runs) >= _MANY:
            progress.line("\n".join(report.states(planned)))
        busy = f"{name}: another process is training it in {workdir}; wait for it, or give another --workdir"
        with storage.alone(workdir / name, otherwise=busy) if hosts.is_first() else contextlib.nullcontext():
            _train_run(planned, name, progress)
        hosts.wait(f"trained {name}")


def _train_run(planned: Plan, name: str, progress: Progress) -> None:
    parts, directory = planned.runs[name], planned.workdir / name
    if parts.weights is not None:
        if hosts.is_first():
            weights = pretrained.file_of(parts.weights).read_bytes()
            storage.write_whole(directory / WEIGHTS, lambda file: file.write(weights))
        return
    teacher = load_network(planned.workdir, run=parts.teacher) if parts.teacher is not None else None
    milestones = planned.config["milestones"]
    checkpoints = Checkpoints(directory / "checkpoints", always=milestones)
    start = load_network(planned.workdir, run=parts.start)[1] if parts.start is not None else None
    fresh = hosts.replicated(build.new_state(parts, variables=start))
    state, warnings = checkpoints.restore_newest(fresh)
    for warning in warnings:
        progress.line(f"{name}: {warning}; going back to the one before")
    if state is None:
        state = fresh
    else:
        progress.line(f"{name}: resuming at step {int(state.step)} of {parts.recipe.num_steps}")
    train_step = build.train_step_of(parts, teacher=teacher)
    evaluate = _evaluation(parts, train_step.args[0])
    state = loop.fit(
        state,
        train_step,
        parts.key,
        name=name,
        num_steps=parts.recipe.num_steps,
        batch_size=parts.recipe.batch_size,
        set_size=parts.section["set_size"],
        checkpoints=checkpoints,
        record=_recorder(directory, int(state.step)),
        evaluate=evaluate,
        progress=progress,
        checkpoint_seconds=planned.config["checkpoint_seconds"],
        milestones=milestones,
    )
    checkpoints.close()
    if hosts.is_first():
        description = {"model": parts.section["model"], "step": int(state.step)}
        weights = export_arrays(build.variables_of(state), description)
        storage.write_whole(directory / WEIGHTS, lambda file: file.write(weights))


def _recorder(directory: Path, step: int) -> Callable[[dict], None]:
    """Function that keeps a log record of a run, whose records after `step` are dropped."""
    if not hosts.is_first():
        return lambda record: None
    metrics_file = directory / "metrics.jsonl"
    storage.drop_json_lines_after(metrics_file, step)
    events = report.tensorboard_writer(directory)

    def record(values: dict) -> None:
        storage.append_json_line(metrics_file, values)
        events(values)

    return record


def _evaluation(parts: build.Parts, take: Partial) -> Callable[[TrainState], dict[str, float]]:
    """PSNR on a few training and test images, which `take` gives, at 20 dB of input PSNR."""
    section, dataset = parts.section, parts.dataset
    sizes = {section["subset"]: section["set_size"], "test": dataset.sizes["test"]}
    sizes = hosts.replicated({subset: np.int32(size) for subset, size in sizes.items()})

    def evaluate(state: TrainState) -> dict[str, float]:
        found = _psnr(denoiser.bind_told(parts.model, build.variables_of(state)), take, sizes)
        return {"train_psnr": float(found[section["subset"]]), "test_psnr": float(found["test"])}

    return evaluate


@jax.jit
def _psnr(denoise: NoiseDenoiser, take: Partial, sizes: dict[str, Array]) -> dict[str, Array]:
    """Mean PSNR on the first images of some subsets, of which each has so many."""

    def mean(subset: str, size: Array) -> Array:
        index = jnp.arange(_EVALUATION_IMAGES)  # those beyond a small set come again, and do not count
        curve = functools.partial(psnr_curve, denoiser.at(denoise, _EVALUATION_SIGMA), jax.random.key(1), chunk=8)
        psnr = curve(take(index, subset=subset, set_size=size), sigmas=jnp.array([_EVALUATION_SIGMA])).psnr[:, 0]
        return psnr.mean(where=index < size)

    return {subset: mean(subset, size) for subset, size in sizes.items()}
