"""From a config to trained networks, studies and denoisers. Nothing below this module sees a config."""

import fnmatch
import functools
import json
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial

from gahr.experiment import loop, report, storage
from gahr.analysis.performance import psnr_curve
from gahr.experiment.build import Parts, build, check_devices, check_study, model_of, new_state, studies_of, train_step_of
from gahr.experiment.checkpoint import Checkpoints, export_arrays, import_arrays
from gahr.config import suggest
from gahr.denoiser import bind
from gahr.experiment.progress import Progress
from gahr.studies import STUDIES
from gahr.studies.common import Run
from gahr.training import TrainState
from gahr.types import Array, Denoiser

_EVALUATION_IMAGES = 32
_EVALUATION_SIGMA = 0.1  # 20 dB
_WEIGHTS = "denoiser.safetensors"
_MANY = 8  # runs whose states are shown together


def finished(workdir: Path, name: str) -> bool:
    """Whether run `name` is trained to its end."""
    return (Path(workdir) / name / _WEIGHTS).exists()


def chosen(config: Mapping, *, only: str = "*") -> list[str]:
    """Names of the runs that match a pattern; ValueError where a config has runs and none matches."""
    names = fnmatch.filter(config["runs"], only)
    if not names and (config["runs"] or only != "*"):
        raise ValueError(f"no run is named {only!r}{suggest(only, config['runs'])}")
    return names


def check(config: Mapping, workdir: Path, *, only: str = "*") -> dict[str, Parts]:
    """Everything that can be checked before any work; nothing is written.

    Args:
      config, workdir, only: as in `train`.

    Returns:
      Run name -> its objects, of all runs of the config.

    Raises:
      ValueError: bad config, or a directory of something else.
    """
    names = chosen(config, only=only)
    parts = {name: build(config, name) for name in config["runs"]}
    for name in names:
        if not finished(workdir, name):
            check_devices(config, name)
    check_study(config)
    storage.matches(Path(workdir), _recorded(config, parts))
    return parts


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
    progress = progress or Progress()
    workdir = Path(workdir)
    parts = check(config, workdir, only=only)
    storage.claim(workdir, _recorded(config, parts))
    for name in chosen(config, only=only):
        if finished(workdir, name):
            progress.line(f"{name}: already trained, {workdir / name / _WEIGHTS}")
            continue
        if len(config["runs"]) >= _MANY:
            shares = {other: share_done(config, workdir, other) for other in config["runs"]}
            progress.line("\n".join(report.states(shares)))
        busy = f"{name}: another process is training it in {workdir}; wait for it, or give another --workdir"
        with storage.alone(workdir / name, otherwise=busy):
            _train_run(config, name, parts[name], workdir / name, progress)


def share_done(config: Mapping, workdir: Path, name: str) -> float:
    """Share of the training of run `name` that is done, by its log, in [0, 1]; 1 only where it is finished."""
    if finished(workdir, name):
        return 1.0
    records = storage.json_lines(Path(workdir) / name / "metrics.jsonl")
    return records[-1]["step"] / (config["runs"][name]["optim"]["num_steps"] + 1) if records else 0.0


def _train_run(config: Mapping, name: str, parts: Parts, directory: Path, progress: Progress) -> None:
    data, optim = (config["runs"][name][section] for section in ("data", "optim"))
    checkpoints = Checkpoints(directory / "checkpoints")
    fresh = new_state(parts)
    state, warnings = checkpoints.restore_newest(fresh)
    for warning in warnings:
        progress.line(f"{name}: {warning}; going back to the one before")
    if state is None:
        state = fresh
    else:
        progress.line(f"{name}: resuming at step {int(state.step)} of {optim['num_steps']}")
    metrics_file = directory / "metrics.jsonl"
    storage.drop_json_lines_after(metrics_file, int(state.step))
    events = report.tensorboard_writer(directory)

    def record(values: dict) -> None:
        storage.append_json_line(metrics_file, values)
        events(values)

    state = loop.fit(
        state,
        train_step_of(parts),
        parts.key,
        name=name,
        num_steps=optim["num_steps"],
        batch_size=optim["batch_size"],
        set_size=data["set_size"],
        checkpoints=checkpoints,
        evaluate=_evaluation(data, parts),
        record=record,
        progress=progress,
        checkpoint_seconds=config["checkpoint_seconds"],
    )
    checkpoints.close()
    description = {"model": dict(config["runs"][name]["model"]), "step": int(state.step)}
    weights = export_arrays(_variables(state), description)
    storage.write_whole(directory / _WEIGHTS, lambda file: file.write(weights))


def _variables(state: TrainState) -> dict:
    params = state.params if state.average is None else state.average
    return {"params": params, "batch_stats": state.batch_stats}


def _evaluation(data: Mapping, parts: Parts) -> Callable[[TrainState], dict[str, float]]:
    """PSNR on a few training and test images at 20 dB of input PSNR."""
    num_train, num_test = (min(_EVALUATION_IMAGES, number) for number in (data["set_size"], parts.sizes["test"]))

    @jax.jit
    def psnr(images: Partial, variables: dict) -> Array:
        train = images(jnp.arange(num_train), subset=data["subset"], set_size=data["set_size"])
        test = images(jnp.arange(num_test), subset="test", set_size=num_test)
        curve = functools.partial(
            psnr_curve, bind(parts.model, variables), sigmas=jnp.array([_EVALUATION_SIGMA]), chunk=8
        )
        return jnp.stack([curve(jax.random.key(1), clean).psnr.mean() for clean in (train, test)])

    def evaluate(state: TrainState) -> dict[str, float]:
        train, test = (float(value) for value in psnr(parts.images, _variables(state)))
        return {"train_psnr": train, "test_psnr": test}

    return evaluate


def load_denoiser(workdir: Path, *, run: str | None = None, step: int | None = None) -> Denoiser:
    """Denoiser of a run directory.

    Args:
      workdir: run directory.
      run: name of the run; not needed where there is only one.
      step: checkpoint to load; the finished network, or else the newest checkpoint, where None.

    Returns:
      noisy (..., H, W, C) -> denoised; uses the parameter average where the run kept one.

    Raises:
      ValueError: no such directory, run or step; the message names what there is.
    """
    return bind(*load_network(workdir, run=run, step=step))


def load_network(workdir: Path, *, run: str | None = None, step: int | None = None) -> tuple[Any, dict]:
    """Network (model, variables) of a run directory; arguments and errors as in `load_denoiser`.

    A finished network needs only the `model` section of its run.
    """
    workdir = Path(workdir)
    config = storage.read_config(workdir)["config"]
    names = list(config["runs"])
    if not names:
        raise ValueError(f"{workdir} holds no run")
    if run is None:
        if len(names) > 1:
            raise ValueError(f"{workdir} holds several runs; give run=, one of {', '.join(names)}")
        run = names[0]
    if run not in names:
        raise ValueError(f"{workdir} holds no run {run!r}{suggest(run, names)}")
    if step is None and finished(workdir, run):
        return model_of(config["runs"][run]["model"]), import_arrays(workdir / run / _WEIGHTS)[0]
    checkpoints = Checkpoints(workdir / run / "checkpoints", read_only=True)
    steps = checkpoints.steps()
    if not steps and step is None:
        raise ValueError(f"run {run} of {workdir} is not trained yet")
    if not steps or (step is not None and step not in steps):
        raise ValueError(f"run {run} of {workdir} has checkpoints of steps {steps or 'none'}, not {step}")
    parts = build(config, run, with_file=False)
    state = checkpoints.restore(new_state(parts), steps[-1] if step is None else step)
    return parts.model, _variables(state)


def study(config: Mapping, workdir: Path, *, progress: Progress | None = None) -> list:
    """Analyse, check and draw; the analysis is kept, in study.npz or study_NAME.npz, and done again only if its
    options change.

    Args:
      config: as `configs/` make it.
      workdir: run directory whose runs are all trained.
      progress: shows the state and asks for stops.

    Returns:
      List of `gahr.studies.common.Check`.

    Raises:
      ValueError: a run is not trained yet.
      Interrupted: a stop was asked for; nothing half-written is left.
    """
    progress = progress or Progress()
    workdir = Path(workdir)
    waiting = [name for name in config["runs"] if not finished(workdir, name)]
    if waiting:
        raise ValueError(f"not trained yet: {', '.join(waiting)}")
    parts: list[tuple[str, list, Any]] = []
    for name, section in studies_of(config).items():
        module, file = STUDIES[name], workdir / ("study.npz" if "name" in config["study"] else f"study_{name}.npz")
        arrays = _stored_analysis(section, file)
        if arrays is None:
            arrays = _analyze(config, workdir, section, module, file, progress)
        checks = module.check(arrays, **section["marks"])
        parts.append((name, checks, module.draw(arrays, title=_title(config))))
    report.write(workdir, plain(config), parts)
    return [check for _, checks, _ in parts for check in checks]


def _analyze(
    config: Mapping, workdir: Path, section: Mapping, module: Any, file: Path, progress: Progress
) -> dict[str, np.ndarray]:
    runs = {name: _study_run(config, workdir, name) for name in config["runs"]}
    key = jax.random.fold_in(jax.random.key(config["seed"]), 2**32 - 1)  # image i has fold_in(key, i)
    with jax.default_matmul_precision("highest"):
        arrays = module.analyze(runs, key, progress=progress, **section["analysis"])
    stamp = {"analysis_options": np.array(_options(section))}
    storage.write_whole(file, lambda content: np.savez(content, **arrays, **stamp))
    return arrays


def _options(section: Mapping) -> str:
    """The options of an analysis, with the content of the files they name."""
    options = plain(section)["analysis"]
    names = [part for value in options.values() if isinstance(value, str) for part in value.split("+")]
    digests = {name: storage.digest(Path(name)) for name in names if Path(name).is_file()}
    return json.dumps(options | ({"files": digests} if digests else {}))


def _stored_analysis(section: Mapping, file: Path) -> dict[str, np.ndarray] | None:
    try:
        with open(file, "rb") as content, np.load(content) as stored:
            arrays = dict(stored)
        options = str(arrays.pop("analysis_options"))
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile, zlib.error):  # absent or damaged
        return None
    return arrays if options == _options(section) else None


def _study_run(config: Mapping, workdir: Path, name: str) -> Run:
    parts = build(config, name)
    data = plain(config)["runs"][name]["data"]

    @functools.partial(jax.jit, static_argnames=("subset", "set_size"))
    def make(images: Partial, index: Array, *, subset: str, set_size: int) -> Array:
        return images(index, subset=subset, set_size=set_size)

    def images(subset: str, number: int) -> Array:
        size = data["set_size"] if subset == data["subset"] else min(number, parts.sizes[subset])
        made = make(parts.images, jnp.arange(min(number, size)), subset=subset, set_size=size)
        return jnp.asarray(np.asarray(made))  # on one device, as the denoiser, where a file is on all

    return Run(load_denoiser(workdir, run=name), images, data)


def _title(config: Mapping) -> str:
    """What was trained, for the figure; nothing where nothing was."""
    runs = config["runs"].values()
    if not runs:
        return ""
    sides = " and ".join(dict.fromkeys(f"{run['data']['size']}x{run['data']['size']}" for run in runs))
    features = " and ".join(dict.fromkeys(str(run["model"]["features"]) for run in runs))
    scale = "" if config["scale"] == "paper" else f", {config['scale']} scale"
    return f"{sides} images, {features} features{scale}"


def _recorded(config: Mapping, parts: Mapping[str, Parts]) -> dict:
    """The config as config.json holds it: with the digests of the image files, so that they must stay as they are."""
    recorded = plain(config)
    for name, part in parts.items():
        if part.digest is not None:
            recorded["runs"][name]["data"]["digest"] = part.digest
    return recorded


def plain(config: Mapping) -> dict:
    """The config as JSON values."""
    return json.loads(config.to_json()) if hasattr(config, "to_json") else json.loads(json.dumps(config))
