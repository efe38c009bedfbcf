"""Training: a state, a pure step from one state to the next, and the optimizers with their learning rates."""

import functools
import inspect
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from gahr.names import is_number, pick, require, require_whole
from gahr.types import Array, Key, PyTree


class TrainState(NamedTuple):
    """All that training carries from step to step."""

    step: Array  # () steps done
    params: PyTree
    batch_stats: PyTree
    opt_state: PyTree
    average: PyTree  # running average of params, or None


def init_state(variables: PyTree, optimizer: optax.GradientTransformation, *, average: float = 0.0) -> TrainState:
    """State before the first step; with average > 0 it also holds a parameter average."""
    params = variables["params"]
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        batch_stats=variables.get("batch_stats", {}),
        opt_state=optimizer.init(params),
        average=jax.tree.map(jnp.copy, params) if average else None,
    )


def make_train_step(
    network: Callable,
    optimizer: optax.GradientTransformation,
    loss: Callable,
    batch: Callable[[Key], Array],
    *,
    average: float = 0.0,
) -> Callable[[TrainState, Key], tuple[TrainState, dict[str, Any]]]:
    """One step of training, as a pure function (state, key) -> (state, metrics). Not jitted.

    Images and noise of step t are drawn from fold_in(key, t), so the state is all there is to resume from.

    Args:
      network: passed on to the loss, as of `gahr.denoiser.network_of`.
      optimizer: optax transformation.
      loss: loss(network, variables, key, clean) -> (value, updates), as in `gahr.objectives`; of the updates the
        "batch_stats" are kept. Where it has an option `step` it is given the steps done.
      batch: function key -> images (N, H, W, C).
      average: decay r of the parameter average, average <- r average + (1 - r) params; r is at most
        (1 + step) / (10 + step), so that the average forgets the start; 0 keeps none.

    Returns:
      Function (state, key) -> (state, {"loss", "gradient_norm"}).
    """
    is_timed = "step" in inspect.signature(loss).parameters

    def train_step(state: TrainState, key: Key) -> tuple[TrainState, dict[str, Array]]:
        key_batch, key_loss = jax.random.split(jax.random.fold_in(key, state.step))
        clean = batch(key_batch)

        def objective(params: PyTree) -> tuple[Array, PyTree]:
            variables, timed = (
                {"params": params, "batch_stats": state.batch_stats},
                {"step": state.step} if is_timed else {},
            )
            return loss(network, variables, key_loss, clean, **timed)

        (value, updates), gradient = jax.value_and_grad(objective, has_aux=True)(state.params)
        steps, opt_state = optimizer.update(gradient, state.opt_state, state.params)
        params = optax.apply_updates(state.params, steps)
        mean = state.average
        if average:
            decay = jnp.minimum(average, (1 + state.step) / (10 + state.step))
            mean = optax.incremental_update(params, mean, 1 - decay)
        batch_stats = updates.get("batch_stats", state.batch_stats)
        state = TrainState(state.step + 1, params, batch_stats, opt_state, mean)
        return state, {"loss": value, "gradient_norm": optax.tree.norm(gradient)}

    return train_step


SCHEDULES = {  # (peak, steps) -> learning rate
    "halving": lambda peak, steps: optax.piecewise_constant_schedule(
        peak, {steps * i // 10: 0.5 for i in range(1, 10) if steps >= 10}
    ),
    "cosine": optax.cosine_decay_schedule,
    "constant": lambda peak, steps: optax.constant_schedule(peak),
}


def learning_rate(*, schedule: str = "halving", peak: float = 1e-3, num_steps: int, warmup: int = 0) -> optax.Schedule:
    """Learning rate as a function of the step.

    Args:
      schedule: "halving" halves it after every tenth of the training, nine times (published); "cosine" lowers it
        to zero along a half cosine; "constant". Fewer than ten steps have no tenths, so no halving.
      peak: highest learning rate.
      num_steps: length of the training.
      warmup: steps of linear increase from zero before the schedule starts.

    Raises:
      ValueError: unknown schedule, or a number that cannot be.
    """
    require_whole("num_steps", num_steps)
    require(is_number(peak) and 0 < peak < 2.0**128, "peak", peak, "positive and finite in float32")
    require(is_number(warmup) and 0 <= warmup < num_steps, "warmup", warmup, f"from 0 to below num_steps = {num_steps}")
    return _rate(pick("schedule", SCHEDULES, schedule), peak, num_steps, warmup)


@functools.lru_cache
def _rate(schedule: Callable, peak: float, num_steps: int, warmup: int) -> optax.Schedule:
    """Equal arguments give one and the same function, so that what is compiled for it serves again; below, too."""
    rate = schedule(peak, max(1, num_steps - warmup))
    if not warmup:
        return rate
    return optax.join_schedules([optax.linear_schedule(0.0, peak, warmup), rate], [warmup])


ORDERS = ("independent", "epochs")  # of training images


class Recipe(NamedTuple):
    """How the parameters follow the gradients, and for how long."""

    optimizer: optax.GradientTransformation  # with its learning rate
    batch_size: int  # images of a step
    num_steps: int  # length of the training
    average: float  # decay of the parameter average, as in `make_train_step`
    order: str  # of training images: each drawn by itself, or by epochs (`gahr.data.epochs`)


def _recipe(optimizer: Callable) -> Callable[..., Recipe]:
    """Function that makes a Recipe, whose keyword arguments are those below and the numbers and switches of optax."""
    parameters = inspect.signature(optimizer).parameters.values()
    made = functools.lru_cache(optimizer)
    own = {p.name: p.replace(kind=p.KEYWORD_ONLY) for p in parameters if isinstance(p.default, float | bool)}

    def recipe(
        *,
        batch_size: int,
        num_steps: int,
        schedule: str = "halving",
        peak: float = 1e-3,
        warmup: int = 0,
        average: float = 0.0,
        order: str = "independent",
        **options: float,
    ) -> Recipe:
        require_whole("batch_size", batch_size)
        pick("order", dict.fromkeys(ORDERS), order)
        require(is_number(average) and 0 <= average < 1, "average", average, "from 0 to below 1")
        for name, value in options.items():
            if isinstance(pick("option", own, name).default, bool):
                require(isinstance(value, bool), name, value, "True or False")
            elif name in ("b1", "b2"):
                require(is_number(value) and 0 <= value < 1, name, value, "from 0 to below 1")
            else:
                require(is_number(value) and 0 <= value < math.inf, name, value, "finite and not negative")
        rate = learning_rate(schedule=schedule, peak=peak, num_steps=num_steps, warmup=warmup)
        return Recipe(made(rate, **options), batch_size, num_steps, average, order)

    shared = [p for p in inspect.signature(recipe).parameters.values() if p.kind is p.KEYWORD_ONLY]
    recipe.__signature__ = inspect.Signature([*shared, *own.values()], return_annotation=Recipe)
    return recipe


OPTIMIZERS = {optimizer.__name__: _recipe(optimizer) for optimizer in (optax.adam, optax.radam, optax.adamw)}
