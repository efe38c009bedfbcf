"""Trained networks of a run directory."""

from pathlib import Path
from typing import Any

from gahr.denoiser import bind, bind_told, is_told
from gahr.experiment import build, storage
from gahr.experiment.checkpoint import Checkpoints
from gahr.experiment.planning import WEIGHTS, finished
from gahr.models.stored import import_arrays
from gahr.names import suggest
from gahr.types import Denoiser, NoiseDenoiser


def load_denoiser(workdir: Path, *, run: str | None = None, step: int | None = None) -> Denoiser | NoiseDenoiser:
    """Denoiser of a run directory.

    Args:
      workdir: run directory.
      run: name of the run; not needed where there is only one.
      step: checkpoint to load; the finished network, or else the newest checkpoint, where None.

    Returns:
      noisy (..., H, W, C) -> denoised, or (noisy, sigma) -> denoised of a network that is told sigma; uses the
      parameter average where the run kept one.

    Raises:
      ValueError: no such directory, run or step; the message names what there is.
    """
    model, variables = load_network(workdir, run=run, step=step)
    return bind_told(model, variables) if is_told(model) else bind(model, variables)


def load_network(workdir: Path, *, run: str | None = None, step: int | None = None) -> tuple[Any, dict]:
    """Network (model, variables) of a run directory; arguments and errors as in `load_denoiser`.

    It needs only the `model` section of its run.
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
    model = build.model_of(config["runs"][run]["model"])
    if step is None and finished(workdir, run):
        return model, import_arrays(workdir / run / WEIGHTS)[0]
    checkpoints = Checkpoints(workdir / run / "checkpoints", read_only=True)
    steps = checkpoints.steps()
    if not steps and step is None:
        raise ValueError(f"run {run} of {workdir} is not trained yet")
    if not steps or (step is not None and step not in steps):
        raise ValueError(f"run {run} of {workdir} has checkpoints of steps {steps or 'none'}, not {step}")
    return model, build.variables_of(checkpoints.restore_alone(steps[-1] if step is None else step))
