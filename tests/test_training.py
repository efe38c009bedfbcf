"""The loss, the learning rate, and the step from one state to the next."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from conftest import with_unit_gains
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from gahr import training
from gahr.experiment import loop
from gahr.experiment.checkpoint import Checkpoints
from gahr.models.layers import initialize
from gahr.models.unet import UNet
from gahr.experiment.progress import Progress

KEY = jax.random.key(0)


def network(residual):
    """apply function of a network that has no variables."""
    return lambda variables, noisy, *, train, mutable: (residual(noisy), {"batch_stats": {"seen": noisy}})


@pytest.fixture(scope="module")
def clean():
    return jax.random.uniform(jax.random.key(1), (64, 8, 8, 2))


def test_loss_is_the_mean_over_images_of_a_sum_over_pixels(clean):
    found, stats = training.denoising_loss(network(lambda noisy: 0.3 * noisy), {}, KEY, clean, law="fixed", sigma=0.2)
    noisy, clean = np.asarray(stats["seen"], np.float64), np.asarray(clean, np.float64)
    expected = ((0.7 * noisy - clean) ** 2).sum((1, 2, 3)).mean()
    assert float(found) == pytest.approx(expected, rel=1e-5)
    assert (noisy - clean).std() == pytest.approx(0.2, rel=4 / math.sqrt(2 * clean.size))


def test_loss_of_the_identity_is_the_noise_and_of_zero_the_image(clean):
    num, dimension = len(clean), 8 * 8 * 2
    identity, _ = training.denoising_loss(network(jnp.zeros_like), {}, KEY, clean, law="fixed", sigma=0.2)
    assert float(identity) == pytest.approx(dimension * 0.2**2, rel=4 * math.sqrt(2 / dimension / num))
    zero, _ = training.denoising_loss(network(lambda noisy: noisy), {}, KEY, clean, law="quadratic")
    assert float(zero) == pytest.approx(float(jnp.sum(clean**2)) / num, rel=1e-5)


def test_inverse_variance_weighting_makes_every_noise_level_count_alike(clean):
    loss = functools.partial(training.denoising_loss, network(jnp.zeros_like), {}, KEY, clean)
    weighted, _ = loss(law="log_uniform", weighting="inverse_variance", sigma_min=1e-3, sigma_max=1.0)
    dimension = 8 * 8 * 2  # the weighted error is |z|^2
    assert float(weighted) == pytest.approx(dimension, rel=4 * math.sqrt(2 / dimension / len(clean)))
    fixed = [loss(law="fixed", weighting=name, sigma=0.2)[0] for name in training.WEIGHTINGS]
    np.testing.assert_allclose(fixed, fixed[0] / 0.2 ** np.arange(3), rtol=1e-5)


def test_sigma_is_drawn_for_each_image(clean):
    _, stats = training.denoising_loss(network(jnp.zeros_like), {}, KEY, clean, law="uniform")
    measured = np.std(stats["seen"] - clean, axis=(1, 2, 3))
    assert measured.mean() == pytest.approx(0.5, abs=4 * math.sqrt(1 / 12 / len(clean)))
    assert measured.std() == pytest.approx(math.sqrt(1 / 12), rel=0.3)


@pytest.mark.parametrize("options", [{"law": "quadratc"}, {"weighting": "variance"}])
def test_an_unknown_law_or_weighting_is_an_error(clean, options):
    with pytest.raises(KeyError):
        training.denoising_loss(network(jnp.zeros_like), {}, KEY, clean, **options)


@pytest.mark.parametrize("warmup", [0, 50])
def test_halving_halves_the_learning_rate_after_every_tenth(warmup):
    rate = training.learning_rate(peak=0.01, num_steps=1000 + warmup, warmup=warmup)
    for tenth in range(10):
        first, last = warmup + 100 * tenth, warmup + 100 * tenth + 99
        np.testing.assert_allclose([rate(first), rate(last)], 0.01 / 2**tenth, rtol=1e-6)


def test_cosine_falls_to_zero_along_half_a_period():
    rate = training.learning_rate(schedule="cosine", peak=0.01, num_steps=1000)
    values = [rate(step) for step in (0, 250, 500, 1000)]
    np.testing.assert_allclose(values, [0.01, 0.005 * (1 + math.sqrt(0.5)), 0.005, 0], atol=1e-8)


@pytest.mark.parametrize("schedule", ["halving", "cosine", "constant"])
def test_warmup_rises_linearly_from_zero_to_the_peak(schedule):
    rate = training.learning_rate(schedule=schedule, peak=0.01, num_steps=100, warmup=20)
    np.testing.assert_allclose([rate(step) for step in (0, 5, 10, 20)], [0, 0.0025, 0.005, 0.01], rtol=1e-5)


def test_constant_stays_and_an_unknown_schedule_is_refused():
    rate = training.learning_rate(schedule="constant", peak=0.01, num_steps=100)
    np.testing.assert_allclose([rate(0), rate(99)], 0.01)
    with pytest.raises(ValueError, match="halving, cosine or constant, got 'linear'"):
        training.learning_rate(schedule="linear", num_steps=100)


def small_training(average=0.0):
    """Step function, first state: a small UNet on random images."""
    model, optimizer = UNet(features=4, num_blocks=1), optax.adam(1e-2)
    variables = with_unit_gains(initialize(model, KEY, (8, 8, 1)), KEY)
    step = training.make_train_step(
        model.apply,
        optimizer,
        training.denoising_loss,
        lambda key: jax.random.uniform(key, (8, 8, 8, 1)),
        average=average,
    )
    return step, training.init_state(variables, optimizer, average=average)


def test_the_step_compiles_once_in_fifty_steps():
    step, state = small_training()
    traces = []

    @jax.jit
    def counted(state, key):
        traces.append(1)
        return step(state, key)

    for _ in range(50):
        state, _ = counted(state, KEY)
    assert len(traces) == 1
    assert int(state.step) == 50


def test_three_steps_and_three_from_their_result_are_six_steps_to_the_bit():
    step, start = small_training(average=0.9)

    def advance(state, number):
        compiled = jax.jit(step)
        for _ in range(number):
            state, metrics = compiled(state, KEY)
        return jax.device_get((state, metrics))

    whole, half = advance(start, 6), advance(start, 3)
    resumed = advance(jax.tree.map(jnp.asarray, half[0]), 3)
    jax.tree.map(np.testing.assert_array_equal, resumed, whole)
    assert half[1]["loss"] != whole[1]["loss"]


@pytest.mark.parametrize("field", ["params", "batch_stats", "average"])
def test_a_state_that_is_not_finite_is_never_saved(tmp_path, field):
    def step(state, key):  # infinite after step 2, though loss and gradient are not
        value = {field: jnp.ones(3) / (1 - state.step)}
        return state._replace(step=state.step + 1, **value), {"loss": 1.0 * state.step, "gradient_norm": 1.0}

    records, checkpoints = [], Checkpoints(tmp_path)
    state = training.TrainState(jnp.array(0), jnp.ones(3), jnp.ones(3), jnp.ones(3), jnp.ones(3))
    options = dict(name="alpha3", num_steps=2, batch_size=1, set_size=1, progress=Progress(), checkpoint_seconds=0.0)
    evaluate = lambda state: {"train_psnr": 0.0, "test_psnr": 0.0}
    message = "a parameter is not finite at step 2 of run alpha3; the last good checkpoint is step 1"
    with pytest.raises(FloatingPointError, match=message):
        loop.fit(state, step, KEY, checkpoints=checkpoints, evaluate=evaluate, record=records.append, **options)
    assert checkpoints.steps() == [1]
    assert [record["step"] for record in records] == [1]


def test_steps_draw_from_the_key_and_the_step_number_alone():
    seen = []

    def loss(apply, variables, key, clean):
        seen.append((np.asarray(jax.random.key_data(key)), np.asarray(clean)))
        return jnp.sum(variables["params"]), {}

    optimizer = optax.sgd(0.1)
    step = training.make_train_step(None, optimizer, loss, lambda key: jax.random.uniform(key, (2,)))
    state = training.init_state({"params": jnp.zeros(3), "batch_stats": {}}, optimizer)
    with jax.disable_jit():
        for number, params, key in ((0, 0.0, 0), (1, 0.0, 0), (1, 5.0, 0), (1, 0.0, 1)):
            step(state._replace(step=jnp.array(number), params=jnp.full(3, params)), jax.random.key(key))
    draws = [np.concatenate([key, clean]) for key, clean in seen]
    np.testing.assert_array_equal(draws[1], draws[2])  # whatever the parameters
    assert not np.any(draws[0] == draws[1])
    assert not np.any(draws[3] == draws[1])


def test_gradient_norm_and_update_are_those_of_the_loss():
    target = jnp.array([3.0, 4.0])
    optimizer = optax.sgd(0.5)
    step = training.make_train_step(
        None,
        optimizer,
        lambda apply, variables, key, clean: (jnp.sum((variables["params"] - clean) ** 2), {"seen": clean}),
        lambda key: target,
    )
    state, metrics = step(training.init_state({"params": jnp.zeros(2), "batch_stats": {}}, optimizer), KEY)
    np.testing.assert_allclose([metrics["loss"], metrics["gradient_norm"]], [25, 10])  # |w - t|^2, 2 |w - t|
    np.testing.assert_allclose(state.params, target)
    np.testing.assert_array_equal(state.batch_stats["seen"], target)


def test_parameter_average_forgets_the_start_and_then_decays_as_asked():
    optimizer = optax.sgd(0.1)
    step = training.make_train_step(
        None,
        optimizer,
        lambda apply, variables, key, clean: (jnp.sum(jnp.cos(variables["params"] + clean)), {}),
        lambda key: jax.random.uniform(key, (3,)),
        average=0.3,
    )
    state = training.init_state({"params": jnp.arange(3.0), "batch_stats": {}}, optimizer, average=0.3)
    expected = np.asarray(state.params, np.float64)
    for number in range(8):  # (1 + t) / (10 + t) reaches 0.3 at t = 2.9
        state, _ = step(state, KEY)
        decay = min(0.3, (1 + number) / (10 + number))
        expected = decay * expected + (1 - decay) * np.asarray(state.params, np.float64)
        np.testing.assert_allclose(state.average, expected, rtol=1e-5)


def test_no_average_is_kept_unless_asked_for():
    variables = {"params": jnp.ones(3), "batch_stats": {}}
    assert training.init_state(variables, optax.sgd(0.1)).average is None
    np.testing.assert_array_equal(training.init_state(variables, optax.sgd(0.1), average=0.5).average, 1)


def test_loss_gradients_and_statistics_do_not_depend_on_the_number_of_devices():
    model = UNet(features=4, num_blocks=1)
    variables = with_unit_gains(initialize(model, KEY, (8, 8, 1)), KEY)
    clean = jax.random.uniform(KEY, (16, 8, 8, 1))

    @jax.jit
    def measure(params, clean):
        def objective(params):
            return training.denoising_loss(model.apply, variables | {"params": params}, KEY, clean)

        return jax.value_and_grad(objective, has_aux=True)(params)

    found = []
    for number in (1, 2, 8):
        devices = jax.devices("cpu")[:number]
        assert len(devices) == number
        mesh = jax.make_mesh((number,), ("data",), axis_types=(AxisType.Auto,), devices=devices)
        sharded = jax.device_put(clean, NamedSharding(mesh, PartitionSpec("data")))
        replicated = jax.device_put(variables["params"], NamedSharding(mesh, PartitionSpec()))
        found.append(jax.device_get(measure(replicated, sharded)))
    for other in found[1:]:
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5 * np.abs(b).max()), other, found[0]
        )


def test_a_linear_denoiser_of_one_number_learns_the_wiener_gain():
    amplitude, sigma = 0.5, 0.5  # images a n(0, 1) u, |u| = 1, noise seen along u alone: gain a^2 / (a^2 + s^2)

    def apply(variables, noisy, *, train, mutable):
        along = jnp.mean(noisy, (1, 2, 3), keepdims=True)
        return noisy - variables["params"] * along, {"batch_stats": {}}

    optimizer = optax.adam(training.learning_rate(schedule="cosine", peak=0.02, num_steps=300))
    step = jax.jit(
        training.make_train_step(
            apply,
            optimizer,
            functools.partial(training.denoising_loss, law="fixed", sigma=sigma),
            lambda key: amplitude / 4 * jax.random.normal(key, (256, 1, 1, 1)) * jnp.ones((1, 4, 4, 1)),
        )
    )
    state = training.init_state({"params": jnp.zeros(()), "batch_stats": {}}, optimizer)
    for _ in range(300):
        state, metrics = step(state, KEY)
    gain = amplitude**2 / (amplitude**2 + sigma**2)
    assert float(state.params) == pytest.approx(gain, abs=0.02)
    assert float(metrics["loss"]) == pytest.approx(gain * sigma**2, rel=4 * math.sqrt(2 / 256))
