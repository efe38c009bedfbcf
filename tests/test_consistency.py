"""Consistency functions and their objective against closed forms: the identity, Gaussians, a quantile map."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gahr import training
from gahr.classical import analytic
from gahr.consistency import consistency_fn
from gahr.denoiser import bind_told, network_of
from gahr.models.conditional_unet import ConditionalUNet
from gahr.models.layers import initialize
from gahr.models.perceptron import Perceptron
from gahr.objectives import consistency
from gahr.objectives.pairs import PAIRS

KEY = jax.random.key(0)
NETWORKS = [ConditionalUNet(features=8, num_blocks=1), Perceptron(features=8)]


def disturbed(model, shape=(8, 8, 1)):
    """Variables whose last layer is not 0, as it is at first."""
    variables = initialize(model, KEY, shape)
    keys = iter(jax.random.split(jax.random.key(1), 100))
    return jax.tree.map(lambda leaf: leaf + 0.1 * jax.random.normal(next(keys), leaf.shape), variables)


@pytest.mark.parametrize("model", NETWORKS, ids=lambda model: type(model).__name__)
def test_a_network_is_the_identity_at_its_smallest_noise_and_treats_images_alone(model):
    noisy = jax.random.uniform(KEY, (3, 8, 8, 1))
    f = jax.jit(bind_told(model, disturbed(model)))
    np.testing.assert_allclose(f(noisy, model.sigma_min), noisy, atol=1e-6)
    sigma = jnp.array([0.1, 0.5, 2.0])
    together, alone = f(noisy, sigma), jnp.stack([f(*pair) for pair in zip(noisy, sigma, strict=True)])
    assert float(jnp.abs(together - noisy).max()) > 0.1
    np.testing.assert_allclose(together, alone, atol=1e-5)


@pytest.mark.parametrize("model", NETWORKS, ids=lambda model: type(model).__name__)
def test_a_new_network_is_the_best_linear_denoiser_of_white_images(model):
    model = model.clone(sigma_min=0.0)
    noisy, sigma = jax.random.uniform(KEY, (2, 8, 8, 1)), 0.3
    wiener = 0.5 + 0.25**2 / (0.25**2 + sigma**2) * (noisy - 0.5)
    denoised = bind_told(model, initialize(model, KEY, (8, 8, 1)))(noisy, sigma)
    np.testing.assert_allclose(denoised, wiener, rtol=1e-5)


def test_dropout_needs_a_key_and_follows_it():
    model = ConditionalUNet(features=8, num_blocks=1, dropout=0.5)
    variables, noisy = disturbed(model), jax.random.uniform(KEY, (2, 8, 8, 1))
    network = lambda train, key: network_of(model)(variables, noisy, jnp.full(2, 0.5), train=train, key=key)[0]
    still, first, again, other = network(True, None), *(network(True, jax.random.key(i)) for i in (1, 1, 2))
    np.testing.assert_array_equal(still, network(False, jax.random.key(1)))
    np.testing.assert_array_equal(first, again)
    assert min(float(jnp.abs(first - each).max()) for each in (still, other)) > 1e-3


def test_the_function_of_a_callers_network_is_scaled_as_published():
    apply = lambda weight, images, noise: weight * images + noise[:, None, None, None]
    f = consistency_fn(apply, jnp.float32(0.7), sigma_data=0.5, sigma_min=0.002)
    noisy, sigma = jax.random.normal(KEY, (2, 3, 4, 1)), np.array([0.3, 5.0])
    wide = sigma[:, None, None, None]
    skip, out = 0.25 / ((wide - 0.002) ** 2 + 0.25), (wide - 0.002) * 0.5 / np.sqrt(wide**2 + 0.25)
    expected = skip * noisy + out * (0.7 * noisy / np.sqrt(wide**2 + 0.25) + np.log(wide) / 4)
    np.testing.assert_allclose(f(noisy, sigma), expected, rtol=1e-5)
    np.testing.assert_allclose(f(noisy[0], 0.002), noisy[0], atol=1e-6)
    for field, value in (("sigma_data", 0.0), ("sigma_min", -1.0)):
        with pytest.raises(ValueError, match=f"{field} must be"):
            consistency_fn(apply, None, **(dict(sigma_data=0.5, sigma_min=0.0) | {field: value}))


def drawn(name, step, *, number=4_000, **options):
    t, r, weight = PAIRS[name](KEY, (number,), jnp.int32(step), **options)
    return np.asarray(t, np.float64), np.asarray(r, np.float64), np.asarray(weight, np.float64)


def test_pairs_of_tuning_go_from_denoising_to_neighbours():
    t, r, weight = drawn("ect", 999, stage_steps=1_000)
    assert np.all(r[t < 0.9] == 0)  # 1 + 8 sigmoid(-2 t) > 2
    np.testing.assert_allclose(r[t > 10], t[t > 10] / 2, rtol=1e-5)
    np.testing.assert_allclose(weight, 1 / (t - r), rtol=1e-5)
    assert np.log(t).mean() == pytest.approx(-1.1 - math.log(2), abs=4 * 2 / math.sqrt(len(t)))
    t, r, _ = drawn("ect", 5_000, stage_steps=1_000)
    share = (1 + 8 / (1 + np.exp(2 * t))) / 2**6
    np.testing.assert_allclose(1 - (r / t)[r > 0], share[r > 0], atol=1e-5)
    np.testing.assert_array_equal(t - r, drawn("ect", 10**6, stage_steps=1_000, last_stage=5)[0] - r)


def test_pairs_of_a_grid_are_neighbours_whose_number_grows():
    for name, step, number, options in (
        ("ict", 0, 10, {}),
        ("ict", 2_500, 40, {}),
        ("ict", 10**6, 80, dict(last=80)),
        ("ct", 0, 1, dict(num_steps=1_000)),
        ("ct", 500, math.ceil(math.sqrt(0.5 * (151**2 - 4) + 4) - 1), dict(num_steps=1_000)),
        ("ct", 5_000, 150, dict(num_steps=1_000)),
    ):
        t, r, weight = drawn(name, step, **options)
        root = lambda sigma, number=number: (
            (sigma ** (1 / 7) - 0.001 ** (1 / 7)) / (40 ** (1 / 7) - 0.001 ** (1 / 7)) * number
        )
        np.testing.assert_allclose(root(r), np.round(root(r)), atol=number * 1e-5)
        np.testing.assert_allclose(root(t), root(r) + 1, atol=number * 1e-5)
        assert root(t).max() == pytest.approx(number, abs=max(number / 25, 1e-4))
        np.testing.assert_allclose(weight, 1 / (t - r) if name == "ict" else 1, rtol=1e-3)


def test_grid_pairs_of_the_improved_law_are_normal_in_the_logarithm():
    t, r, _ = drawn("ict", 10**6, last=320, number=10_000)
    middle = np.log(t * r) / 2  # of a truncated normal law
    inside = lambda low, high: np.mean((middle > low) & (middle < high))
    law = lambda x: math.erf((x + 1.1 + math.log(2)) / (2 * math.sqrt(2)))
    whole = law(math.log(40)) - law(math.log(0.001))
    for low, high in ((-4, -2), (-2, 0), (0, 2)):
        assert inside(low, high) == pytest.approx((law(high) - law(low)) / whole, abs=0.02)


# ---- the loss: exact functions of Gaussian images of variance v about m, where f(y, s) = m + c (y - m) with
# c^2 = (v + e^2) / (v + s^2) ----

MEAN, VARIANCE, LEAST = 0.4, 0.09, 0.01
GRID = dict(pairs="ict", last=160)


def exact(variables, noisy, sigma, *, train, key):
    share = jnp.sqrt((VARIANCE + LEAST**2) / (VARIANCE + sigma**2))[:, None, None, None]
    return noisy - (MEAN + share * (noisy - MEAN)), {"seen": share}


def denoising(variables, noisy, sigma, *, train, key):
    share = (VARIANCE / (VARIANCE + sigma**2))[:, None, None, None]
    return noisy - (MEAN + share * (noisy - MEAN)), {}


def teacher(noisy, sigma):
    return noisy - denoising(None, noisy, sigma, train=False, key=None)[0]


@functools.cache
def measured(network, **options):
    clean = MEAN + math.sqrt(VARIANCE) * jax.random.normal(jax.random.key(3), (256, 2, 2, 1))
    options = dict(sigma_min=LEAST, sigma_max=10.0, huber=0.0) | (options if "pairs" in options else GRID | options)
    return float(jax.jit(lambda: consistency.loss(network, {}, KEY, clean, step=10**6, **options)[0])())


def test_distillation_of_a_gaussian_vanishes_at_the_exact_function_alone_the_faster_the_higher_the_order():
    coarse = {solver: measured(exact, teacher=teacher, solver=solver, last=80) for solver in consistency.SOLVERS}
    fine = {solver: measured(exact, teacher=teacher, solver=solver) for solver in consistency.SOLVERS}
    # the error of one step over its length, by which the loss divides, falls as h and h^2
    assert coarse["euler"] / fine["euler"] == pytest.approx(2, rel=0.15)
    assert coarse["heun"] / fine["heun"] == pytest.approx(4, rel=0.3)
    assert measured(denoising, teacher=teacher, solver="heun") > 30 * fine["heun"]


def test_training_sees_one_noise_and_denoises_where_the_lower_level_is_zero():
    # with r = 0 the target is x, and |f(y, t) - x| / t is least for the posterior mean
    options = dict(pairs="ect", stage_steps=10**9, log_mean=-2.0, log_sd=0.1)
    assert measured(denoising, **options) < 0.99 * measured(exact, **options)
    # neighbours share x and z: y_t - y_r = (t - r) z; noise of their own would leave a loss of order t / (t - r)
    assert measured(exact) < 5


def test_the_loss_root_has_a_gradient_where_nothing_differs():
    same = lambda variables, noisy, sigma, *, train, key: (noisy * (1 - variables), {})
    for huber in (0.0, 0.1):
        loss = lambda weight, huber=huber: consistency.loss(same, weight, KEY, jnp.ones((4, 2, 2, 1)), huber=huber)[0]
        assert np.isfinite(jax.grad(loss)(0.0))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(pairs="etc"), "unknown pairs 'etc'; did you mean ect"),
        (dict(solver="eulr"), "unknown solver 'eulr'; did you mean euler"),
        (dict(log_men=0.0), "unknown option 'log_men'; did you mean log_mean"),
        (dict(sigma_min=0.0), "sigma_min must be above 0"),
        (dict(sigma_min=2.0, sigma_max=1.0), "sigma_min must be above 0 and below sigma_max = 1.0"),
        (dict(huber=-1.0), "huber must be at least 0"),
    ],
)
def test_options_that_cannot_be_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        consistency.loss(exact, {}, KEY, jnp.ones((2, 2, 2, 1)), **options)


def test_a_perceptron_learns_the_quantile_map_of_a_mixture():
    """In one dimension f is the map that keeps quantiles, from those of the noisy images to those of the clean."""
    centres, sd, least, most = jnp.array([-0.5, 0.5]), 0.1, 0.002, 4.0
    model, steps = Perceptron(features=64, sigma_data=0.5, sigma_min=least, mean=0.0), 900

    def batch(key):
        which, normal = jax.random.split(key)
        return (jax.random.choice(which, centres, (256,)) + sd * jax.random.normal(normal, (256,))).reshape(-1, 1, 1, 1)

    optimizer = optax.adam(optax.cosine_decay_schedule(3e-3, steps))
    options = dict(sigma_min=least, sigma_max=most, log_mean=-0.5, log_sd=1.5, slope=1.0, stage_steps=steps // 6)
    loss = lambda *arguments, step: consistency.loss(*arguments, step=step, **options)
    step = training.make_train_step(network_of(model), optimizer, loss, batch, average=0.99)
    state = training.init_state(initialize(model, KEY, (1, 1, 1)), optimizer, average=0.99)
    state, _ = jax.jit(lambda state: jax.lax.scan(lambda s, _: step(s, KEY), state, length=steps))(state)
    share = np.linspace(0.02, 0.98, 49)
    above = lambda x, wide: jax.scipy.stats.norm.cdf((x[:, None] - centres[None]) / wide).mean(1)
    line = jnp.linspace(-12, 12, 200_001)
    quantiles = lambda wide: jnp.interp(share, above(line, wide), line)
    expected, noisy = quantiles(math.hypot(sd, least)), quantiles(math.hypot(sd, most)).reshape(-1, 1, 1, 1)
    found = bind_told(model, {"params": state.average})(noisy, most).ravel()
    assert np.median(abs(found - expected)) < 0.06
    # the posterior mean, which is no consistency function, is near 0 for all of them
    two = analytic.mixture(
        jnp.ones(2) / 2, centres.reshape(2, 1, 1, 1), jnp.full((2, 1), sd**2), jnp.ones((2, 1, 1, 1, 1))
    )
    assert np.median(abs(two(noisy, most).ravel() - expected)) > 0.3


def trained(model, parts):
    """State after stages of tuning of so many steps, and the losses of all of them, of images of one law."""
    batch = lambda key: 0.5 + 0.25 * jax.random.normal(key, (16, 4, 4, 1))
    loss = lambda *arguments, step: consistency.loss(*arguments, step=step, stage_steps=4, sigma_max=10.0)
    optimizer = optax.adam(3e-3)
    step = training.make_train_step(network_of(model), optimizer, loss, batch)
    state, losses = training.init_state(initialize(model, KEY, (4, 4, 1)), optimizer), []
    for steps in parts:
        run = jax.jit(lambda state, steps=steps: jax.lax.scan(lambda s, _: step(s, KEY), state, length=steps))
        state, found = run(state)
        losses.append(np.asarray(found["loss"], np.float64).ravel())
    return state, np.concatenate(losses)


def test_tuning_goes_on_where_it_stopped_to_the_same_bits():
    """A stage that started again, or noise that did not know the step, would not."""
    model = Perceptron(features=8)
    (once, _), (twice, _) = trained(model, (8,)), trained(model, (5, 3))
    jax.tree.map(np.testing.assert_array_equal, once, twice)


def test_the_loss_curve_in_bfloat16_is_that_in_float32():
    model = ConditionalUNet(features=8, num_blocks=1)
    (full, losses), (half, others) = (trained(model.clone(dtype=dtype), (24,)) for dtype in ("float32", "bfloat16"))
    assert np.isfinite(losses).all()
    assert np.abs(others / losses - 1).max() > 0  # else the type would not be heard
    np.testing.assert_allclose(others, losses, rtol=0.05)
    assert {leaf.dtype for leaf in jax.tree.leaves((half.params, full.params))} == {jnp.dtype("float32")}
