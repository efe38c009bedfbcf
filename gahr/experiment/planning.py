"""All that a config asks for, built and checked once, before any work."""

import fnmatch
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax

from gahr import pretrained
from gahr.experiment import build, fields, storage
from gahr.names import pick, suggest
from gahr.studies import STUDIES
from gahr.studies.shared.study import Study

WEIGHTS = "denoiser.safetensors"


class PlannedStudy(NamedTuple):
    """One figure of the config."""

    study: Study
    analyze: Any  # with its options: (runs, key, *, progress, sharding) -> arrays
    options: Mapping[str, Any]  # of the analysis
    marks: Mapping[str, Any]
    file: Path  # that keeps the arrays


class Plan(NamedTuple):
    """What `plan` has made of a config."""

    config: dict  # as config.json holds it: plain values, with the digests of the image files
    workdir: Path
    runs: Mapping[str, build.Parts]  # every run, after those that it needs
    chosen: tuple[str, ...]  # the runs to train, or whose weights to take
    studies: Mapping[str, PlannedStudy]
    notes: tuple[str, ...]  # what the user should know

    def finished(self, name: str) -> bool:
        """Whether run `name` is trained to its end."""
        return finished(self.workdir, name)

    def trainings(self) -> list[str]:
        """The runs to train."""
        return [name for name in self.chosen if self.runs[name].weights is None]

    def share_done(self, name: str) -> float:
        """Share of the training of run `name` that is done, by its log, in [0, 1]; 1 only where it is finished."""
        if self.finished(name):
            return 1.0
        records = storage.json_lines(self.workdir / name / "metrics.jsonl")
        return records[-1]["step"] / (self.runs[name].recipe.num_steps + 1) if records else 0.0


def plan(config: Mapping, workdir: Path, *, only: str = "*") -> Plan:
    """Everything that can be built and checked before any work; nothing is computed and nothing is written.

    Args:
      config: as `configs/` make it.
      workdir: run directory, which need not exist.
      only: pattern of the names of the runs to train, such as "alpha3*".

    Returns:
      Plan.

    Raises:
      ValueError: bad config, or a directory of something else.
    """
    workdir, notes = Path(workdir), []
    config = json.loads(config.to_json()) if hasattr(config, "to_json") else json.loads(json.dumps(config))
    runs = {}
    for name, run in config["runs"].items():
        if "name" in run.get("model", ()):
            run["model"], others = build.without_others_fields(run["model"])
            if others:
                notes.append(f"run {name}: a {run['model']['name']} has no {', '.join(others)}; left out")
        runs[name] = build.build(run, name, seed=config["seed"])
        if runs[name].dataset.digest is not None:
            run["data"]["digest"] = runs[name].dataset.digest
        if runs[name].weights is not None:
            run["weights"]["digest"] = storage.digest(pretrained.file_of(runs[name].weights))
            notes.append(f"run {name}: not trained, the weights of {runs[name].weights}")
    runs = _in_order(runs)
    _check_needs(runs)
    chosen = fnmatch.filter(runs, only)
    if not chosen and (runs or only != "*"):
        raise ValueError(f"no run is named {only!r}{suggest(only, runs)}")
    for name in chosen:
        if not finished(workdir, name) and runs[name].weights is None:
            _check_devices(name, runs[name].recipe.batch_size)
            for needed in runs[name].needs:
                if needed not in chosen and not finished(workdir, needed):
                    raise ValueError(
                        f"run {name} learns from run {needed}, which is not trained yet and not among those to train"
                    )
    storage.matches(workdir, config)
    studies = _studies(config, workdir)
    return Plan(config, workdir, runs, tuple(chosen), studies, tuple(notes))


def finished(workdir: Path, name: str) -> bool:
    """Whether run `name` of a run directory is trained to its end."""
    return (Path(workdir) / name / WEIGHTS).exists()


def _in_order(runs: Mapping[str, build.Parts]) -> dict[str, build.Parts]:
    """The runs, each after its teacher and the run that it starts from."""
    ordered: dict[str, build.Parts] = {}

    def add(name: str, waiting: tuple[str, ...]) -> None:
        if name in waiting:
            raise ValueError(f"runs learn from each other: {', '.join([*waiting, name])}")
        for field, needed in (("objective.teacher", runs[name].teacher), ("start", runs[name].start)):
            if needed is not None and needed not in runs:
                raise ValueError(f"run {name}: {field}: no run is named {needed!r}{suggest(needed, runs)}")
        for needed in runs[name].needs:
            add(needed, (*waiting, name))
        ordered[name] = runs[name]

    for name in runs:
        add(name, ())
    return ordered


def _check_needs(runs: Mapping[str, build.Parts]) -> None:
    """ValueError unless teachers can take the images of their pupils, and who starts from a network has its form."""
    for name, parts in runs.items():
        if parts.teacher is not None:
            with fields.named(f"run {name}"), fields.named("objective.teacher"):
                build.variable_shapes(runs[parts.teacher].model, parts.dataset.shape)
        if parts.start is not None and runs[parts.start].model != parts.model:
            raise ValueError(f"run {name}: start: {parts.start} has another network than {name}; they must be equal")


def _check_devices(name: str, batch_size: int) -> None:
    """ValueError unless the devices can share a batch; only training needs that."""
    devices = jax.device_count()
    if batch_size % devices:
        below, above = batch_size // devices * devices, (batch_size // devices + 1) * devices
        nearest = f"{below} or {above}" if below > 0 else f"{above}"
        raise ValueError(
            f"run {name}: optim.batch_size {batch_size} cannot be shared by {devices} devices; "
            f"the nearest valid is {nearest}"
        )


def _studies(config: Mapping, workdir: Path) -> dict[str, PlannedStudy]:
    """Study name -> what it does: `config.study` is one section with its name, or several by name."""
    section = config["study"]
    sections = {section["name"]: section} if "name" in section else section
    planned = {}
    for name, each in sections.items():
        study = pick("study.name", STUDIES, name)
        analyze = fields.call("study.analysis", study.analyze, fields=each["analysis"])
        fields.check_names("study.marks", each["marks"], study.check)
        file = workdir / ("study.npz" if "name" in section else f"study_{name}.npz")
        planned[name] = PlannedStudy(study, analyze, each["analysis"], each["marks"], file)
    return planned
