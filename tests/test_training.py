"""The learning rate, the optimizers, and the step from one state to the next."""

import functools
import inspect
import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from conftest import Told, with_unit_gains

from gahr import training
from gahr.denoiser import bind_told, is_told, network_of
from gahr.experiment import loop
from gahr.experiment.checkpoint import Checkpoints
from gahr.experiment.progress import Progress
from gahr.models.layers import initialize
from gahr.models.unet import UNet
from gahr.names import options_of
from gahr.objectives import denoising

KEY = jax.random.key(0)


@pytest.mark.parametrize("warmup", [0, 50])
def test_halving_halves_the_learning_rate_after_every_tenth(warmup):
    rate = training.learning_rate(peak=0.01, num_steps=1000 + warmup, warmup=warmup)
    for tenth in range(10):
        first, last = warmup + 100 * tenth, warmup + 100 * tenth + 99
        np.testing.assert_allclose([rate(first), rate(last)], 0.01 / 2**tenth, rtol=1e-6)


def test_cosine_falls_to_zero_constant_stays_and_all_rise_linearly_from_zero_in_a_warmup():
    rate = training.learning_rate(schedule="cosine", peak=0.01, num_steps=1000)
    values = [rate(step) for step in (0, 250, 500, 1000)]
    np.testing.assert_allclose(values, [0.01, 0.005 * (1 + math.sqrt(0.5)), 0.005, 0], atol=1e-8)
    rate = training.learning_rate(schedule="constant", peak=0.01, num_steps=100)
    np.testing.assert_allclose([rate(0), rate(99)], 0.01)
    for schedule in training.SCHEDULES:
        rate = training.learning_rate(schedule=schedule, peak=0.01, num_steps=100, warmup=20)
        np.testing.assert_allclose([rate(step) for step in (0, 5, 10, 20)], [0, 0.0025, 0.005, 0.01], rtol=1e-5)


def test_recipes_take_the_options_of_optax_and_refuse_what_they_cannot_use():
    adamw = training.OPTIMIZERS["adamw"]
    assert options_of(adamw, dict(batch_size=2, num_steps=5, nesterov=True)) == dict(
        dict(batch_size=2, num_steps=5, schedule="halving", peak=1e-3, warmup=0, average=0.0, nesterov=True),
        **dict(order="independent", b1=0.9, b2=0.999, eps=1e-8, eps_root=0.0, weight_decay=1e-4),
    )
    assert {"threshold"} == set(inspect.signature(training.OPTIMIZERS["radam"]).parameters) - set(
        inspect.signature(training.OPTIMIZERS["adam"]).parameters
    )
    for options, message in (
        (dict(num_steps=0), "num_steps must be a whole number from 1, got 0"),
        (dict(num_steps=True), "num_steps must be a whole number from 1, got True"),
        (dict(batch_size=2.0), "batch_size must be a whole number from 1, got 2.0"),
        (dict(peak=0.0), "peak must be positive and finite in float32, got 0.0"),
        (dict(peak=1e39), r"peak must be positive and finite in float32, got 1e\+39"),
        (dict(warmup=5), "warmup must be from 0 to below num_steps = 5, got 5"),
        (dict(average=1.0), "average must be from 0 to below 1, got 1.0"),
        (dict(schedule="cosin"), "unknown schedule 'cosin'; did you mean cosine"),
        (dict(b1=1.0), "b1 must be from 0 to below 1, got 1.0"),
        (dict(eps=math.inf), "eps must be finite and not negative, got inf"),
        (dict(nesterov=1), "nesterov must be True or False, got 1"),
        (dict(weight_decy=0.1), "unknown option 'weight_decy'; did you mean weight_decay"),
    ):
        with pytest.raises(ValueError, match=message):
            adamw(**dict(batch_size=2, num_steps=5) | options)


@pytest.mark.parametrize("name", training.OPTIMIZERS)
def test_optimizers_are_those_of_optax(name):
    """On a quadratic, whose gradient is the parameter itself."""
    recipe = training.OPTIMIZERS[name](batch_size=1, num_steps=30, peak=0.1, b2=0.9)
    expected = getattr(optax, name)(training.learning_rate(num_steps=30, peak=0.1), b2=0.9)
    assert recipe[1:] == (1, 30, 0.0, "independent")

    def descend(parameters, optimizer):
        state = optimizer.init(parameters)
        for _ in range(8):
            change, state = optimizer.update(parameters, state, parameters)
            parameters = optax.apply_updates(parameters, change)
        return parameters

    one, other = jax.jit(lambda start: [descend(start, o) for o in (recipe.optimizer, expected)])(jnp.ones(3))
    np.testing.assert_array_equal(one, other)
    assert np.all(one < 0.9)


def states(step, start, number):
    """The states after some steps, and the last metrics."""
    found, compiled = [start], jax.jit(step)
    for _ in range(number):
        state, metrics = compiled(found[-1], KEY)
        found.append(state)
    return found, metrics


def test_three_steps_and_three_from_their_result_are_six_steps_to_the_bit_and_compile_once():
    model, optimizer, traces = UNet(features=4, num_blocks=1), optax.adam(1e-2), []

    def batch(key):
        traces.append(1)
        return jax.random.uniform(key, (8, 8, 8, 1))

    step = training.make_train_step(network_of(model), optimizer, denoising.loss, batch, average=0.9)
    variables = with_unit_gains(initialize(model, KEY, (8, 8, 1)), KEY)
    start = training.init_state(variables, optimizer, average=0.9)
    whole, last = states(step, start, 6)
    resumed, again = states(step, jax.tree.map(jnp.asarray, jax.device_get(whole[3])), 3)
    jax.tree.map(np.testing.assert_array_equal, (resumed[-1], again), (whole[-1], last))
    assert len(traces) == 1
    assert int(whole[-1].step) == 6
    moved = jax.tree.map(lambda a, b: np.all(a != b), whole[6].batch_stats, whole[3].batch_stats)
    assert jax.tree.all(moved)


def test_steps_draw_from_the_key_and_the_step_number_alone():
    seen = []

    def loss(network, variables, key, clean):
        seen.append((np.asarray(jax.random.key_data(key)), np.asarray(clean)))
        return jnp.sum(variables["params"]), {}

    optimizer = optax.sgd(0.1)
    step = training.make_train_step(None, optimizer, loss, lambda key: jax.random.uniform(key, (2,)))
    state = training.init_state({"params": jnp.zeros(3)}, optimizer)
    with jax.disable_jit():
        for number, params, key in ((0, 0.0, 0), (1, 0.0, 0), (1, 5.0, 0), (1, 0.0, 1)):
            step(state._replace(step=jnp.array(number), params=jnp.full(3, params)), jax.random.key(key))
    draws = [np.concatenate([key, clean]) for key, clean in seen]
    np.testing.assert_array_equal(draws[1], draws[2])  # whatever the parameters
    assert not np.any(draws[0] == draws[1])
    assert not np.any(draws[3] == draws[1])


def test_gradient_norm_update_and_average_are_those_of_the_loss():
    target, optimizer = jnp.array([3.0, 4.0]), optax.sgd(0.25)
    distance = lambda network, variables, key, clean: (
        jnp.sum((variables["params"] - clean) ** 2),
        {"batch_stats": {"seen": clean}, "others": 0},
    )
    step = training.make_train_step(None, optimizer, distance, lambda key: target, average=0.3)
    variables = {"params": jnp.zeros(2), "batch_stats": {"seen": jnp.zeros(2)}}
    found, _ = states(step, training.init_state(variables, optimizer, average=0.3), 8)
    _, metrics = step(found[0], KEY)
    np.testing.assert_allclose([metrics["loss"], metrics["gradient_norm"]], [25, 10])  # |w - t|^2, 2 |w - t|
    average = np.zeros(2)
    for number, state in enumerate(found[1:]):  # w <- (w + t) / 2
        np.testing.assert_allclose(state.params, target * (1 - 0.5 ** (number + 1)), rtol=1e-6)
        decay = min(0.3, (1 + number) / (10 + number))  # reaches 0.3 at t = 2.9
        average = decay * average + (1 - decay) * np.asarray(state.params, np.float64)
        np.testing.assert_allclose(state.average, average, rtol=1e-5)
        np.testing.assert_array_equal(state.batch_stats["seen"], target)
    assert training.init_state(variables, optimizer).average is None


def test_a_network_told_sigma_learns_the_variance_of_its_images():
    model, recipe = Told(), training.OPTIMIZERS["adam"](batch_size=64, num_steps=300, schedule="cosine", peak=0.05)
    loss = functools.partial(denoising.loss, law="log_uniform", weighting="inverse_variance", sigma_min=0.1)
    batch = lambda key: 0.5 * jax.random.normal(key, (recipe.batch_size, 4, 4, 1))
    step = training.make_train_step(network_of(model), recipe.optimizer, loss, batch)
    state = training.init_state(initialize(model, KEY, (4, 4, 1)), recipe.optimizer)
    state, metrics = jax.jit(
        lambda state: jax.lax.scan(lambda state, _: step(state, KEY), state, length=recipe.num_steps)
    )(state)
    assert is_told(model)
    assert state.params["variance"] == pytest.approx(0.25, rel=0.03)
    noisy, sigma = batch(KEY)[:2], np.array([0.2, 1.0])
    gain = 0.25 / (0.25 + sigma**2)
    denoised = bind_told(model, {"params": state.params})(noisy, sigma)
    np.testing.assert_allclose(denoised, gain[:, None, None, None] * noisy, rtol=0.03)
    # E |x - D(y)|^2 / sigma^2 = v / (v + sigma^2) per pixel, over log sigma from log 0.1 to 0
    levels = np.exp(np.linspace(np.log(0.1), 0, 1001))
    expected = 16 * np.mean(0.25 / (0.25 + levels**2))
    assert np.mean(metrics["loss"][-50:]) == pytest.approx(expected, rel=0.03)


@pytest.mark.parametrize("field", ["params", "batch_stats", "average"])
def test_a_state_that_is_not_finite_is_never_saved(tmp_path, field):
    def step(state, key):  # infinite after step 7, though loss and gradient are not
        value = {field: jnp.ones(3) / (6 - state.step)}
        return state._replace(step=state.step + 1, **value), {"loss": 1.0 * state.step, "gradient_norm": 1.0}

    records, checkpoints = [], Checkpoints(tmp_path)
    state = training.TrainState(jnp.array(0), jnp.ones(3), jnp.ones(3), jnp.ones(3), jnp.ones(3))
    options = dict(name="alpha3", num_steps=7, batch_size=1, set_size=1, progress=Progress(), checkpoint_seconds=0.0)
    evaluate = lambda state: {"train_psnr": 0.0, "test_psnr": 0.0}
    message = "a parameter is not finite at step 7 of run alpha3; the last good checkpoint is step 6"
    with pytest.raises(FloatingPointError, match=message):
        loop.fit(state, step, KEY, checkpoints=checkpoints, evaluate=evaluate, record=records.append, **options)
    assert checkpoints.steps() == [6]
    assert [record["step"] for record in records] == [1, 6]


def test_checkpoints_of_milestones_are_kept_beside_the_newest_two(tmp_path):
    def step(state, key):
        return state._replace(step=state.step + 1), {"loss": 1.0, "gradient_norm": 1.0}

    checkpoints = Checkpoints(tmp_path, always=(2, 5))
    state = training.TrainState(jnp.array(0), jnp.ones(3), jnp.ones(3), jnp.ones(3), jnp.ones(3))
    options = dict(name="alpha3", num_steps=20, batch_size=1, set_size=1, progress=Progress(), milestones=(2, 5))
    evaluate = lambda state: {"train_psnr": 0.0, "test_psnr": 0.0}
    loop.fit(state, step, KEY, checkpoints=checkpoints, evaluate=evaluate, record=lambda _: None, **options)
    assert checkpoints.steps()[:2] == [2, 5]  # 6, the first by the clock, is not kept
    assert checkpoints.steps()[-1] == 20
    assert len(checkpoints.steps()) <= 4
