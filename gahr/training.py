"""Training: a state, a loss and a pure step from one state to the next."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from gahr import noise
from gahr.types import Array, Key, PyTree


class TrainState(NamedTuple):
    """All that training carries from step to step."""

    step: Array  # () steps done
    params: PyTree
    batch_stats: PyTree
    opt_state: PyTree
    average: PyTree  # running average of params, or None


WEIGHTINGS = {"none": jnp.ones_like, "inverse_sigma": jnp.reciprocal, "inverse_variance": lambda sigma: sigma**-2}


def denoising_loss(
    apply: Callable,
    variables: PyTree,
    key: Key,
    clean: Array,
    *,
    law: str = "quadratic",
    weighting: str = "none",
    **law_options: float,
) -> tuple[Array, PyTree]:
    """Mean over images of w(sigma) |x - D(y)|^2, a sum over pixels, with y = x + sigma z and D(y) = y - network(y).

    Args:
      apply: `apply(variables, noisy, train=True, mutable=["batch_stats"])` gives (residual, updates).
      variables: {"params": ..., "batch_stats": ...}.
      key: random key, for noise levels and noise.
      clean: images (N, H, W, C) in [0, 1].
      law: name of the law of sigma, a key of `gahr.noise.LAWS`; sigma is drawn per image.
      weighting: "none", w = 1 (published); "inverse_sigma", w = 1 / sigma; or "inverse_variance", w = 1 / sigma^2,
        under which every input PSNR weighs alike.
      **law_options: options of the law, such as sigma_min and sigma_max in image units.

    Returns:
      The loss (), and the updated batch statistics.

    Reference: arXiv:2310.02557, section 2 and appendix A.1.
    """
    key_sigma, key_noise = jax.random.split(key)
    sigma = noise.LAWS[law](key_sigma, clean.shape[:1], **law_options)  # (N,)
    noisy = noise.add_noise(key_noise, clean, sigma)
    residual, updates = apply(variables, noisy, train=True, mutable=["batch_stats"])
    error = jnp.sum(jnp.square(noisy - residual - clean), axis=(1, 2, 3))  # (N,)
    return jnp.mean(WEIGHTINGS[weighting](sigma) * error), updates["batch_stats"]


def learning_rate(*, schedule: str = "halving", peak: float = 1e-3, num_steps: int, warmup: int = 0) -> optax.Schedule:
    """Learning rate as a function of the step.

    Args:
      schedule: "halving" halves it after every tenth of the training, nine times (published); "cosine" lowers it
        to zero along a half cosine; "constant". Fewer than ten steps have no tenths, so no halving.
      peak: highest learning rate.
      num_steps: length of the training.
      warmup: steps of linear increase from zero before the schedule starts.

    Raises:
      ValueError: unknown schedule.
    """
    rest = max(1, num_steps - warmup)
    if schedule == "halving":
        rate = optax.piecewise_constant_schedule(peak, {rest * i // 10: 0.5 for i in range(1, 10) if rest >= 10})
    elif schedule == "cosine":
        rate = optax.cosine_decay_schedule(peak, rest)
    elif schedule == "constant":
        rate = optax.constant_schedule(peak)
    else:
        raise ValueError(f"schedule must be halving, cosine or constant, got {schedule!r}")
    if not warmup:
        return rate
    return optax.join_schedules([optax.linear_schedule(0.0, peak, warmup), rate], [warmup])


def init_state(variables: PyTree, optimizer: optax.GradientTransformation, *, average: float = 0.0) -> TrainState:
    """State before the first step; with average > 0 it also holds a parameter average."""
    params = variables["params"]
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        batch_stats=variables["batch_stats"],
        opt_state=optimizer.init(params),
        average=jax.tree.map(jnp.copy, params) if average else None,
    )


def make_train_step(
    apply: Callable,
    optimizer: optax.GradientTransformation,
    loss: Callable,
    batch: Callable[[Key], Array],
    *,
    average: float = 0.0,
) -> Callable[[TrainState, Key], tuple[TrainState, dict[str, Any]]]:
    """One step of training, as a pure function (state, key) -> (state, metrics). Not jitted.

    Images and noise of step t are drawn from fold_in(key, t), so the state is all there is to resume from.

    Args:
      apply: see `denoising_loss`.
      optimizer: optax transformation.
      loss: loss(apply, variables, key, clean) -> (value, batch_stats).
      batch: function key -> images (N, H, W, C).
      average: decay r of the parameter average, average <- r average + (1 - r) params; r is at most
        (1 + step) / (10 + step), so that the average forgets the start; 0 keeps none.

    Returns:
      Function (state, key) -> (state, {"loss", "gradient_norm"}).
    """

    def train_step(state: TrainState, key: Key) -> tuple[TrainState, dict[str, Array]]:
        key_batch, key_loss = jax.random.split(jax.random.fold_in(key, state.step))
        clean = batch(key_batch)

        def objective(params: PyTree) -> tuple[Array, PyTree]:
            return loss(apply, {"params": params, "batch_stats": state.batch_stats}, key_loss, clean)

        (value, batch_stats), gradient = jax.value_and_grad(objective, has_aux=True)(state.params)
        updates, opt_state = optimizer.update(gradient, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        mean = state.average
        if average:
            decay = jnp.minimum(average, (1 + state.step) / (10 + state.step))
            mean = optax.incremental_update(params, mean, 1 - decay)
        state = TrainState(state.step + 1, params, batch_stats, opt_state, mean)
        return state, {"loss": value, "gradient_norm": optax.tree.norm(gradient)}

    return train_step
