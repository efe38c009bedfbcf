"""What a run directory holds for a page."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from gahr.experiment import pictures, report, storage
from gahr.experiment.gallery.bases import Basis, bases_of
from gahr.experiment.gallery.embed import data_uri, encoded
from gahr.names import require
from gahr.studies.shared.study import Check

_FRAMES = 60  # of an animation, at most
_ANIMATIONS = (".gif", ".png", ".apng")


class Animation(NamedTuple):
    """A path of samples."""

    name: str
    frames: list[str]  # data URIs


class Found(NamedTuple):
    """A run directory, as a page shows it."""

    name: str  # of the directory
    study: str
    scale: str
    seed: int
    checks: list[Check]
    figures: dict[str, str]  # name -> data URI
    bases: list[Basis]
    animations: list[Animation]
    command: str  # that repeats it
    about: dict[str, str]  # python, versions, devices
    cost: list[str]  # in words
    config: str  # JSON


def read(workdir: Path) -> Found:
    """Read a run directory.

    Args:
      workdir: directory with config.json, results.json, report.md, figures and study.npz. Animated pictures (.gif,
        .png, .apng) in it or in its `figures` are its paths, as are the arrays "NAME/frames" of its study.

    Returns:
      What the page shows of it; no array of it is kept whole.

    Raises:
      ValueError: it is no run directory, or nothing is drawn there yet.
    """
    described = storage.read_config(workdir)
    results = workdir / "results.json"
    require(results.is_file(), "workdir", str(workdir), "a run directory whose figures are drawn")
    found = json.loads(results.read_text())
    files = sorted(path for folder in (workdir / "figures", workdir) for path in folder.glob("*.*"))
    moving = [path for path in files if path.suffix in _ANIMATIONS and _is_animated(path)]
    figures = [path for path in files if path.suffix == ".png" and path.parent.name == "figures" and path not in moving]
    bases, animations, cost = [], [_animation(path) for path in moving], _training(workdir, described["config"])
    for file in sorted(workdir.glob("study*.npz")):
        with np.load(file) as arrays:
            bases += bases_of(arrays)
            animations += _stored_paths(arrays)
            if "analysis_seconds" in arrays.files:
                cost.append(f"{file.stem}: analysis {float(arrays['analysis_seconds']):.0f} s")
    about = {"python": described["python"], **described["versions"], "devices": ", ".join(described["devices"])}
    return Found(
        name=workdir.resolve().name,
        study=found["study"],
        scale=found["scale"],
        seed=found["seed"],
        checks=[report.from_data(check) for check in found["checks"]],
        figures={path.stem: data_uri(path.read_bytes()) for path in figures},
        bases=bases,
        animations=animations,
        command=_command(workdir),
        about=about,
        cost=cost,
        config=json.dumps(described["config"], indent=2),
    )


def _command(workdir: Path) -> str:
    """The command of report.md."""
    report_file = workdir / "report.md"
    text = report_file.read_text() if report_file.is_file() else ""
    named = re.search(r"Repeat with `(.*)`\.$", text, re.MULTILINE)
    return named[1] if named else "not recorded"


def _training(workdir: Path, config: dict) -> list[str]:
    """For each network, the steps and seconds of its training."""
    lines = []
    for run, section in config["runs"].items():
        records = storage.json_lines(workdir / run / "metrics.jsonl")
        images = np.diff([record["images"] for record in records], prepend=0)
        seconds = sum(number / each["images_per_second"] for number, each in zip(images, records, strict=True))
        told = f"{records[-1]['step']:,} steps, {seconds:.0f} s of training" if records else "not trained here"
        weights = section.get("weights", {}).get("name")
        lines.append(f"{run}: {told}" + (f", weights of {Path(weights).stem}" if weights else ""))
    return lines


def _is_animated(path: Path) -> bool:
    with Image.open(path) as picture:
        return getattr(picture, "n_frames", 1) > 1


def _animation(path: Path) -> Animation:
    frames = []
    with Image.open(path) as picture:
        for number in _spaced(picture.n_frames):
            picture.seek(number)
            frames.append(encoded(picture.convert("RGB")))
    return Animation(path.stem, frames)


def _stored_paths(arrays: np.lib.npyio.NpzFile) -> Iterator[Animation]:
    """Arrays "NAME/frames" (n, F, H, W, C): images that change, side by side."""
    for name in arrays.files:
        if name.endswith("/frames") and arrays[name].ndim == 5:
            frames = np.moveaxis(arrays[name], 1, 0)
            sheets = (pictures.picture(pictures.grid(frames[number])) for number in _spaced(len(frames)))
            yield Animation(name.removesuffix("/frames"), [encoded(sheet) for sheet in sheets])


def _spaced(number: int) -> np.ndarray:
    return np.unique(np.linspace(0, number - 1, min(number, _FRAMES)).astype(int))
