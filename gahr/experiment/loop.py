"""The training loop around a pure step: compile once, log, checkpoint, resume, stop."""

import functools
import time
from collections.abc import Callable, Collection

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial

from gahr.experiment import hosts
from gahr.experiment.checkpoint import Checkpoints
from gahr.experiment.progress import Interrupted, Progress
from gahr.training import TrainState
from gahr.types import Array, Key, PyTree

_LOG_SECONDS = 5.0
_FIRST = 6  # steps until the first checkpoint, after which it is known how long a step takes


def fit(
    state: TrainState,
    train_step: Callable,
    key: Key,
    *,
    name: str,
    num_steps: int,
    batch_size: int,
    set_size: int,
    checkpoints: Checkpoints,
    evaluate: Callable[[TrainState], dict[str, float]],
    record: Callable[[dict], None],
    progress: Progress,
    checkpoint_seconds: float = 60.0,
    milestones: Collection[int] = (),
) -> TrainState:
    """Train from `state` to `num_steps`, saving as it goes.

    A checkpoint is written about every `checkpoint_seconds`, at milestones, at the end and when a stop is asked for,
    and only of a state that is finite, as all its losses and gradients so far were. Logging and checkpoints never
    change what is computed. On several hosts all do the same at the same steps: how many steps make so many seconds is
    what the first host has measured since the last checkpoint, and a stop is heard where all agree on the step.

    Args:
      state: state to start from, as new or as restored; its memory is reused.
      train_step: pure function (state, key) -> (state, metrics) from `gahr.training.make_train_step`; arrays that a
        `jax.tree_util.Partial` holds are arguments of the compiled step, and no part of it.
      key: key of the run; step t uses fold_in(key, t).
      name: name of the run, for messages.
      num_steps: total number of steps, those already done included.
      batch_size, set_size: images per step and per epoch, for the counts shown.
      checkpoints: where to save.
      evaluate: measures a state, with every checkpoint.
      record: takes each log record, a dictionary with "step".
      progress: shows the log and asks for stops.
      checkpoint_seconds: time between checkpoints: what a killed run loses at most.
      milestones: steps of further checkpoints.

    Returns:
      The state after `num_steps` steps; it has been saved.

    Raises:
      Interrupted: a stop was asked for; the state has been saved.
      FloatingPointError: a loss, gradient or parameter was not finite; names run and step.
    """
    start = step = int(state.step)
    if step >= num_steps:
        return state
    train_step = train_step if isinstance(train_step, Partial) else Partial(train_step)
    compiled = compile_step(train_step, state, key)
    pending: list[dict] = []
    measured: dict[str, float] = {}
    note = ""
    next_log, next_save = start + 1, start + _FIRST
    began, since = time.monotonic(), start
    while step < num_steps:
        state, metrics = compiled(train_step, state, key)
        step += 1
        pending.append(metrics)
        if len(pending) > 1:
            jax.block_until_ready(pending[-2])  # one step ahead of the device, not more
        leave = hosts.stop_agreed(progress.stop_requested) or step == num_steps
        save = leave or step == next_save or step in milestones
        if save or step == next_log:
            means = _means(pending, name, step, checkpoints)
            if save and not _is_finite((state.params, state.batch_stats, state.average)):
                raise _not_finite("a parameter is not finite", name, step, checkpoints)
            one = hosts.agree(max(time.monotonic() - began, 1e-9) / (step - since))  # seconds of a step
            seen = {"step": step, "images": step * batch_size, "epochs": step * batch_size / set_size}
            new = evaluate(state) if save or step == start + 1 else {}
            entry = seen | {"images_per_second": batch_size / one} | means | new
            record(entry)
            measured |= new
            note = _note(entry | measured)
            pending, next_log = [], step + max(1, round(_LOG_SECONDS / one))
        progress.update(name, step, num_steps, note=note)
        if save:
            checkpoints.save(state, step)
            next_save = step + max(1, round(checkpoint_seconds / one))
        if leave and step < num_steps:
            raise Interrupted
        if save or step == start + 1:  # neither of which says how long a step takes
            began, since = time.monotonic(), step
    return state


def compile_step(train_step: Partial, state: TrainState, key: Key) -> jax.stages.Compiled:
    """The compiled function (train_step, state, key) -> (state, metrics), which reuses the memory of the state."""
    return _step.lower(train_step, state, key).compile()


@functools.partial(jax.jit, donate_argnums=1)
def _step(train_step: Partial, state: TrainState, key: Key) -> tuple[TrainState, dict]:
    return train_step(state, key)


def _note(record: dict[str, float]) -> str:
    """What is shown of a record and the last measures."""
    train, test = record["train_psnr"], record["test_psnr"]
    return (
        f"epoch {record['epochs']:.2f}  {record['images_per_second']:.0f} images/s  loss {record['loss']:.3g}  "
        f"PSNR train {train:.2f} test {test:.2f} gap {train - test:+.2f} dB"
    )


def _means(pending: list[dict], name: str, step: int, checkpoints: Checkpoints) -> dict[str, float]:
    """Metrics of the steps just done, in the mean; FloatingPointError at the first that is not finite."""
    for number, metrics in enumerate(pending, step - len(pending) + 1):
        for key, value in metrics.items():
            if not np.isfinite(value):
                raise _not_finite(f"{key} is {float(value)}", name, number, checkpoints)
    return {key: float(np.mean([float(metrics[key]) for metrics in pending])) for key in pending[0]}


@jax.jit
def _is_finite(tree: PyTree) -> Array:
    return jnp.stack([jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(tree)]).all()


def _not_finite(what: str, name: str, step: int, checkpoints: Checkpoints) -> FloatingPointError:
    steps = checkpoints.steps()
    kept = f"the last good checkpoint is step {steps[-1]}" if steps else "no checkpoint was written yet"
    return FloatingPointError(f"{what} at step {step} of run {name}; {kept}; a lower learning rate may help")
