"""Analyse trained networks, check and draw."""

import contextlib
import functools
import json
import time
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial

from gahr.denoiser import bind, bind_told, is_told
from gahr.experiment import build, hosts, report, storage
from gahr.experiment.checkpoint import Checkpoints
from gahr.experiment.networks import load_network
from gahr.experiment.planning import Plan, PlannedStudy, plan
from gahr.experiment.progress import Progress
from gahr.studies.shared.study import Check, Run
from gahr.types import Array, NoiseDenoiser, PyTree

_VERSION = 3  # of what analyses find


def study(config: Mapping, workdir: Path, *, progress: Progress | None = None) -> list[Check]:
    """Analyse, check and draw; the analysis is kept, in study.npz or study_NAME.npz, and done again only if its
    options change.

    Args:
      config: as `configs/` make it.
      workdir: run directory whose runs are all trained.
      progress: shows the state and asks for stops.

    Returns:
      List of `gahr.studies.shared.study.Check`.

    Raises:
      ValueError: a run is not trained yet.
      Interrupted: a stop was asked for; nothing half-written is left.
    """
    return study_planned(plan(config, workdir), progress=progress)


def study_planned(planned: Plan, *, progress: Progress | None = None) -> list[Check]:
    """`study` for what `gahr.experiment.plan` has made of a config, of its chosen runs."""
    progress = progress or Progress()
    waiting = [name for name in planned.chosen if not planned.finished(name)]
    if waiting:
        raise ValueError(f"not trained yet: {', '.join(waiting)}")
    held: dict[int, Array] = {}
    chosen = [name for name in planned.config["runs"] if name in planned.chosen]
    runs = functools.cache(lambda: {name: _run(planned, name, held) for name in chosen})
    found: list[tuple[str, list[Check], Any]] = []
    for name, each in planned.studies.items():
        stamp = _stamp(each, chosen)
        arrays = _stored_analysis(each, stamp)
        if arrays is None:
            arrays = _analyze(runs(), planned.config["seed"], each, stamp, progress)
        checks = each.study.check(arrays, **each.marks)
        figure = each.study.draw(arrays, title=report.title(planned)) if hosts.is_first() else None
        found.append((name, checks, figure))
    if hosts.is_first():
        report.write(planned.workdir, planned.config, found)
    return [check for _, checks, _ in found for check in checks]


def _analyze(
    runs: Mapping[str, Run], seed: int, each: PlannedStudy, stamp: str, progress: Progress
) -> dict[str, np.ndarray]:
    key, began = jax.random.fold_in(jax.random.key(seed), 2**32 - 1), time.monotonic()  # image i has fold_in(key, i)
    with jax.default_matmul_precision("highest"):
        sharding = hosts.spread() if jax.device_count() > 1 else None
        arrays = each.analyze(runs, key, progress=progress, sharding=sharding)
    if hosts.is_first():
        about = {"analysis_options": np.array(stamp), "analysis_seconds": np.array(time.monotonic() - began)}
        kept = arrays | about
        storage.write_whole(each.file, lambda content: np.savez(content, **kept))
    return arrays


def _stamp(each: PlannedStudy, chosen: Sequence[str]) -> str:
    """The options of an analysis and its runs, with the format and the content of the files they name."""
    names = [part for value in each.options.values() if isinstance(value, str) for part in value.split("+")]
    digests = {name: storage.digest(Path(name)) for name in names if Path(name).is_file()}
    return json.dumps({"version": _VERSION, "options": each.options, "files": digests, "runs": chosen})


def _stored_analysis(each: PlannedStudy, stamp: str) -> dict[str, np.ndarray] | None:
    try:
        with open(each.file, "rb") as content, np.load(content) as stored:
            arrays = dict(stored)
        options = str(arrays.pop("analysis_options"))
        arrays.pop("analysis_seconds", None)  # for people, not for checks
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile, zlib.error):  # absent or damaged
        return None
    return arrays if options == stamp else None


@functools.partial(jax.jit, static_argnames="subset")
def _take(take: Partial, index: Array, *, subset: str, set_size: Array) -> Array:
    return take(index, subset=subset, set_size=set_size)


def placed(tree: PyTree, held: dict[int, Array]) -> PyTree:
    """Arrays on all devices; what several trees hold, such as the images of a file, is there once, by its id."""

    def place(leaf: Array) -> Array:
        if id(leaf) not in held:
            held[id(leaf)] = hosts.replicated(leaf)
        return held[id(leaf)]

    return jax.tree.map(place, tree)


def _stages(planned: Plan, name: str, parts: build.Parts) -> dict[int, Callable[[], NoiseDenoiser]]:
    """Training images drawn -> function that reads the network of the checkpoint then; the last is the finished one."""
    directory, steps = planned.workdir / name / "checkpoints", []
    if directory.is_dir():
        with contextlib.closing(Checkpoints(directory, read_only=True)) as kept:
            steps = kept.steps()

    def read(step: int | None) -> NoiseDenoiser:
        model, variables = load_network(planned.workdir, run=name, step=step)
        return bind_told(model, hosts.replicated(variables))

    last, images = parts.recipe.num_steps, parts.recipe.batch_size
    found = {step * images: functools.partial(read, step) for step in steps if step < last}
    return found | {last * images: functools.partial(read, None)}


def _run(planned: Plan, name: str, held: dict[int, Array]) -> Run:
    parts = planned.runs[name]
    take = placed(parts.dataset.take, held)
    sizes = parts.dataset.sizes | {parts.section["subset"]: parts.section["set_size"]}

    def images(subset: str, number: int) -> Array:
        index = jnp.arange(min(number, sizes[subset]))
        return _take(take, index, subset=subset, set_size=np.int32(sizes[subset]))

    model, variables = load_network(planned.workdir, run=name)
    variables, initial = hosts.replicated((variables, build.initial_variables(parts)))
    return Run(
        denoiser=None if is_told(model) else bind(model, variables),
        noise_denoiser=bind_told(model, variables),
        images=images,
        initial=bind_told(model, initial),
        sigma_min=parts.section["objective"].get("sigma_min", 0.0),
        passes=parts.recipe.batch_size * parts.recipe.num_steps / parts.section["set_size"],
        stages=_stages(planned, name, parts),
        **{field: parts.section[field] for field in ("data", "subset", "set_size", "variant", "repeat")},
    )
