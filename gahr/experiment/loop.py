"""The training loop around a pure step: compile once, log, checkpoint, resume, stop."""

import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial

from gahr.experiment.checkpoint import Checkpoints
from gahr.experiment.progress import Interrupted, Progress
from gahr.training import TrainState
from gahr.types import Array, Key, PyTree

_LOG_SECONDS = 5.0
_EVALUATION_SHARE = 0.05  # of the wall time, at most


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
) -> TrainState:
    """Train from `state` to `num_steps`, saving as it goes.

    A checkpoint is written every `checkpoint_seconds`, at the end and when a stop is asked for, and only of a state
    that is finite, as all its losses and gradients so far were. Logging and checkpoints never change what is computed.

    Args:
      state: state to start from, as new or as restored; its memory is reused.
      train_step: pure function (state, key) -> (state, metrics) from `gahr.training.make_train_step`; arrays that a
        `jax.tree_util.Partial` holds are arguments of the compiled step, and no part of it.
      key: key of the run; step t uses fold_in(key, t).
      name: name of the run, for messages.
      num_steps: total number of steps, those already done included.
      batch_size, set_size: images per step and per epoch, for the counts shown.
      checkpoints: where to save.
      evaluate: measures a state, for the log; costs at most 5 % of the time.
      record: takes each log record, a dictionary with "step".
      progress: shows the log and asks for stops.
      checkpoint_seconds: time between checkpoints: what a killed run loses at most.

    Returns:
      The state after `num_steps` steps; it has been saved.

    Raises:
      Interrupted: a stop was asked for; the state has been saved.
      FloatingPointError: a loss, gradient or parameter was not finite; names run and step.
    """
    step = int(state.step)
    if step >= num_steps:
        return state
    train_step = train_step if isinstance(train_step, Partial) else Partial(train_step)
    compiled = compile_step(train_step, state, key)
    log = _Log(name, num_steps, batch_size, set_size, step, record, progress, evaluate)
    pending: list[dict] = []
    saved = logged = time.monotonic()
    while step < num_steps:
        state, metrics = compiled(train_step, state, key)
        step += 1
        pending.append(metrics)
        if len(pending) > 1:
            jax.block_until_ready(pending[-2])  # one step ahead of the device, not more
        now = time.monotonic()
        leave = progress.stop_requested or step == num_steps
        save = leave or now - saved > checkpoint_seconds
        if save or step == log.first + 1 or now - logged > _LOG_SECONDS:
            metrics = _finite(pending, name, step, checkpoints)
            if save and not _is_finite((state.params, state.batch_stats, state.average)):
                raise _not_finite("a parameter is not finite", name, step, checkpoints)
            log(state, step, metrics)
            pending, logged = [], time.monotonic()
        if save:
            checkpoints.save(state, step)
            saved = time.monotonic()
        if leave and step < num_steps:
            raise Interrupted
    return state


def compile_step(train_step: Partial, state: TrainState, key: Key) -> jax.stages.Compiled:
    """The compiled function (train_step, state, key) -> (state, metrics), which reuses the memory of the state."""
    return jax.jit(lambda step, state, key: step(state, key), donate_argnums=1).lower(train_step, state, key).compile()


class _Log:
    """Writes and shows records, with the evaluation as often as its cost allows."""

    def __init__(self, name, num_steps, batch_size, set_size, first, record, progress, evaluate):
        self.first = first
        self._name, self._num_steps, self._batch_size, self._set_size = name, num_steps, batch_size, set_size
        self._record, self._progress, self._evaluate = record, progress, evaluate
        self._last = (time.monotonic(), first)
        self._next_evaluation = 0.0
        self._measured: dict[str, float] = {}

    def __call__(self, state: TrainState, step: int, metrics: dict[str, np.ndarray]) -> None:
        now = time.monotonic()
        rate = self._batch_size * (step - self._last[1]) / max(now - self._last[0], 1e-9)
        record = {
            "step": step,
            "images": step * self._batch_size,
            "epochs": step * self._batch_size / self._set_size,
            "images_per_second": rate,
            **{key: float(values.mean()) for key, values in metrics.items()},
        }
        if now >= self._next_evaluation or step == self._num_steps:
            first = not self._measured
            self._measured = self._evaluate(state)
            end = time.monotonic()
            self._next_evaluation = 0.0 if first else end + (end - now) / _EVALUATION_SHARE  # the first compiles
            record |= self._measured
        self._record(record)
        note = f"epoch {record['epochs']:.2f}  {rate:.0f} images/s  loss {record['loss']:.3g}"
        if self._measured:
            train, test = self._measured["train_psnr"], self._measured["test_psnr"]
            note += f"  PSNR train {train:.2f} test {test:.2f} gap {train - test:+.2f} dB"
        self._progress.update(self._name, step, self._num_steps, note=note)
        self._last = (time.monotonic(), step)


def _finite(pending: list[dict], name: str, step: int, checkpoints: Checkpoints) -> dict[str, np.ndarray]:
    """Metrics of the steps just done, stacked; FloatingPointError at the first that is not finite."""
    metrics = {key: np.array([float(m[key]) for m in pending]) for key in pending[0]}
    for i in range(len(pending)):
        for key, values in metrics.items():
            if not np.isfinite(values[i]):
                raise _not_finite(f"{key} is {values[i]}", name, step - len(pending) + i + 1, checkpoints)
    return metrics


@jax.jit
def _is_finite(tree: PyTree) -> Array:
    return jnp.stack([jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(tree)]).all()


def _not_finite(what: str, name: str, step: int, checkpoints: Checkpoints) -> FloatingPointError:
    steps = checkpoints.steps()
    kept = f"the last good checkpoint is step {steps[-1]}" if steps else "no checkpoint was written yet"
    return FloatingPointError(f"{what} at step {step} of run {name}; {kept}; a lower learning rate may help")
