"""From a run directory to the two files of a network that comes with gahr, see `gahr.pretrained`."""

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gahr.analysis import identities, performance
from gahr.denoiser import at, bind, bind_told, is_told
from gahr.experiment import build, storage
from gahr.experiment.networks import load_network
from gahr.experiment.planning import finished
from gahr.models.stored import export_arrays
from gahr.types import Array, Denoiser, PyTree

_SIGMAS = (0.02, 0.05, 0.1, 0.2, 0.5)
_NUM_IMAGES = 64
_NUM_PROBES = 4
_LARGEST_LOSS = 0.005  # dB, of test PSNR, that float16 may cost
_LARGEST_FILE = 1_500_000  # bytes


def ship(workdir: Path, folder: Path, *, run: str, prefix: str = "") -> dict[str, Any]:
    """Write `folder`/RUN.safetensors and RUN.json of a finished run, with a prefix of these names where wished.

    Kernels are stored as float16 where that costs less than 0.005 dB of test PSNR at every noise level, else as
    float32. The PSNR of the JSON is that of the file's network, in the mean over the first images of each subset, image
    i with the noise of fold_in(key, i) as in `gahr.analysis.performance.psnr_curve`. That of a consistency model is how
    near to the clean image its one step leads, which need not be near.

    Returns:
      What RUN.json holds, see `gahr.pretrained.describe`.

    Raises:
      ValueError: no such run, one that is not finished or of images that are not made here, or a file above 1.5 MB.
    """
    record = storage.read_config(workdir)
    config = record["config"]
    model, variables = load_network(workdir, run=run)
    if not finished(workdir, run):
        raise ValueError(f"run {run} of {workdir} is not trained to its end")
    section = config["runs"][run]
    if section["data"]["name"] == "file":
        raise ValueError(f"run {run} was trained on a file; only networks of images that are made here are shipped")
    parts = build.build(section, run, seed=config["seed"])
    images = functools.partial(_images, parts)
    measure = functools.partial(_psnr, model, images={"test": images("test"), "train": images(section["subset"])})
    float32 = measure(variables)
    halved = jax.tree.map(lambda leaf: np.float16(leaf) if leaf.ndim > 1 else leaf, variables)
    float16 = measure(jax.tree.map(jnp.float32, halved))
    loss = max(before - after for before, after in zip(float32["test"], float16["test"], strict=True))
    if loss > _LARGEST_LOSS:
        halved, float16, loss = variables, float32, 0.0
    weights = export_arrays(halved, {"model": section["model"], "step": section["optim"]["num_steps"]})
    if len(weights) > _LARGEST_FILE:
        raise ValueError(f"run {run} takes {len(weights):,} bytes; networks of at most {_LARGEST_FILE:,} are shipped")
    described = {
        "run": section,
        "seed": config["seed"],
        "scale": config["scale"],
        "psnr": {"sigmas": _SIGMAS, "images": _NUM_IMAGES, "key": 0, **float16, "float16_loss": round(loss, 4)},
        "told": is_told(model),
        "card": [] if is_told(model) else _card(bind(model, jax.tree.map(jnp.float32, halved)), images("test")),
        "trained": {"hours": _hours(workdir / run), **{name: record[name] for name in ("devices", "versions")}},
    }
    folder.mkdir(parents=True, exist_ok=True)
    storage.write_json(folder / f"{prefix}{run}.json", described)
    storage.write_whole(folder / f"{prefix}{run}.safetensors", lambda file: file.write(weights))
    return described


def _card(denoiser: Denoiser, clean: Array) -> list[str]:
    options = dict(sigmas=jnp.array(_SIGMAS), num_probes=_NUM_PROBES, chunk=_NUM_IMAGES)
    return identities.card_lines(
        jax.jit(functools.partial(identities.card, **options))(denoiser, jax.random.key(1), clean)
    )


def _images(parts: build.Parts, subset: str) -> Array:
    sizes = parts.dataset.sizes | {parts.section["subset"]: parts.section["set_size"]}
    return parts.dataset.take(jnp.arange(_NUM_IMAGES), subset=subset, set_size=sizes[subset])


def _psnr(model: Any, variables: PyTree, *, images: Mapping[str, Array]) -> dict[str, list[float]]:
    """Mean PSNR at each noise level on images of each kind, dB."""
    sigmas = jnp.array(_SIGMAS)
    curve = functools.partial(_curve, at(bind_told(model, variables), sigmas), jax.random.key(0), sigmas=sigmas)
    return {kind: [round(float(value), 4) for value in curve(clean).psnr.mean(0)] for kind, clean in images.items()}


_curve = jax.jit(performance.psnr_curve)


def _hours(directory: Path) -> float:
    """Time of the training steps, by the log."""
    seconds, before = 0.0, 0
    for record in storage.json_lines(directory / "metrics.jsonl"):
        seconds += (record["images"] - before) / record["images_per_second"]
        before = record["images"]
    return round(seconds / 3600, 2)
