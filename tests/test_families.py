"""The other image sets: disks, waves, a ray, shuffled and polygon-like images, against what defines them."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gahr.experiment.build import _check_fields
from gahr.data import SAMPLERS, calpha, disks, polygons, ray, shuffled, waves

NUM = 1000
KEYS = jax.vmap(jax.random.key)(jnp.arange(NUM))
SMALL = {  # sampler -> options of a quick image
    "calpha": dict(size=12, alpha=3.0),
    "disks": dict(size=12),
    "polygons": dict(size=12, alpha=3.0),
    "ray": dict(size=12, image_seed=3),
    "shuffled": dict(size=12, alpha=3.0, permutation_seed=2),
    "waves": dict(size=12, frequency=(1, 2)),
}


def draw(function, number=NUM, **options):
    """Values of a function at the first keys, one key at a time: much faster to compile than `jax.vmap`."""
    one = functools.partial(function, **options)
    return np.asarray(jax.jit(lambda keys: jax.lax.map(one, keys))(KEYS[:number]), np.float64)


@functools.cache
def quick(name):
    """Images (NUM, 12, 12, 1) of a sampler; number i is that of the key `jax.random.key(i)`."""
    return draw(SAMPLERS[name], **SMALL[name])


def singular_values(images):
    return np.linalg.svd(images.reshape(len(images), -1), compute_uv=False)


def assert_uniform(values, low=0.0, high=1.0):
    """Kolmogorov-Smirnov at 0.1 %."""
    ranks = (np.arange(len(values)) + 0.5) / len(values)
    assert np.abs((np.sort(values) - low) / (high - low) - ranks).max() < 1.95 / np.sqrt(len(values))


# all samplers


@pytest.mark.parametrize("name", [name for name in SAMPLERS if name != "calpha"])
def test_an_image_of_a_batch_is_the_image_of_its_key(name):
    batch = jax.jit(jax.vmap(functools.partial(SAMPLERS[name], **SMALL[name])))(KEYS[:3])
    assert batch.shape == (3, 12, 12, 1)
    np.testing.assert_allclose(batch, quick(name)[:3], atol=1e-5)
    assert np.abs(np.diff(batch, axis=0)).max((1, 2, 3)).min() > 0.01


@pytest.mark.parametrize("name", SAMPLERS)
def test_images_are_float32_and_options_can_stand_in_a_config(name):
    assert jax.eval_shape(functools.partial(SAMPLERS[name], **SMALL[name]), KEYS[0]).dtype == jnp.float32
    _check_fields("data", SMALL[name], SAMPLERS[name])


@pytest.mark.parametrize(
    ("sample", "options", "message"),
    [
        (disks.sample, dict(size=6), "size must be at least 7, got 6"),
        (waves.sample, dict(size=8, frequency=(0, 0)), "no phase"),
        (waves.sample, dict(size=8, frequency=(4, 8)), "no phase on 8 pixels"),
        (waves.sample, dict(frequency=(0, 0.5)), "whole periods"),
        (ray.sample, dict(alpha=0.0), "alpha must be positive"),
        (shuffled.sample, dict(alpha=1.0, size=1), "size must be at least 2"),
        (polygons.sample, dict(alpha=0.0), "alpha must be positive, got 0"),
        (polygons.sample, dict(alpha=1.0, background_alpha=float("nan")), "background_alpha must be positive"),
        (polygons.sample, dict(alpha=1.0, degree=0), "degree must be at least 1"),
        (polygons.sample, dict(alpha=1.0, size=1), "size must be at least 2"),
    ],
)
def test_impossible_options_are_refused(sample, options, message):
    with pytest.raises(ValueError, match=message):
        sample(KEYS[0], **options)


# disks


def parameters(size):
    return disks.Parameters(*draw(lambda key: jnp.stack(disks.draw(key, size=size))).T)


@pytest.mark.parametrize(("size", "smallest", "largest"), [(80, 3, 38), (16, 3, 6), (13, 2.5, 5), (7, 1, 2)])
def test_disk_parameters_are_uniform_on_their_ranges(size, smallest, largest):
    drawn = parameters(size)
    assert_uniform(drawn.foreground)
    assert_uniform(drawn.background)
    assert_uniform(drawn.radius, smallest, largest)
    for centre in (drawn.row, drawn.column):
        assert_uniform((centre - drawn.radius) / (size - 2 * drawn.radius))
    assert np.abs(np.corrcoef(drawn)[np.triu_indices(5, 1)]).max() < 4 / np.sqrt(NUM)


def test_area_of_a_disk_is_that_of_a_circle_with_a_ramp():
    drawn = disks.draw(KEYS[0], size=80)._replace(foreground=jnp.ones(()), background=jnp.zeros(()))
    radius = jnp.linspace(3, 25, 200)
    mask = jax.vmap(lambda r: disks.render(drawn._replace(radius=r, row=40.3, column=39.6), size=80))(radius)
    expected = np.pi * (np.asarray(radius) ** 2 + 1 / 12)  # the mean of pi (r + t)^2 over |t| < 1/2
    np.testing.assert_allclose(mask.sum((1, 2, 3)), expected, atol=0.5)
    np.testing.assert_allclose(np.mean(mask.sum((1, 2, 3)) - expected), 0, atol=0.05)


def test_disks_have_the_mean_area_of_their_law_and_lie_in_the_unit_range():
    images, drawn = draw(disks.sample, size=24), parameters(24)
    fraction = (images.mean((1, 2, 3)) - drawn.background) / (drawn.foreground - drawn.background)
    mean = np.pi * ((10**3 - 3**3) / 21 + 1 / 12) / 24**2  # radius uniform on [3, 10)
    assert abs(fraction.mean() - mean) < 4 * fraction.std() / np.sqrt(NUM)
    assert images.min() >= 0
    assert images.max() <= 1


def test_a_disk_is_never_cut_by_the_border():
    def ring(key):
        drawn = disks.draw(key, size=16)
        wider = disks.render(drawn._replace(row=drawn.row + 1, column=drawn.column + 1), size=18)
        return jnp.stack([wider[0], wider[-1], wider[:, 0], wider[:, -1]]) - drawn.background

    assert np.abs(draw(ring)).max() < 1e-5


def test_the_centre_of_mass_of_a_disk_is_its_centre():
    mask = disks.render(disks.Parameters(*map(jnp.asarray, (1.0, 0.0, 5.0, 8.3, 13.8))), size=24)[..., 0]
    pixel = np.arange(24) + 0.5
    moments = np.array([(mask.sum(1) * pixel).sum(), (mask.sum(0) * pixel).sum()])
    np.testing.assert_allclose(moments / mask.sum(), [8.3, 13.8], atol=0.02)
    assert mask[8, 13] == 1


def test_tangents_are_the_derivatives_of_the_image():
    def both(key):
        drawn = disks.draw(key, size=20)
        derivatives = jax.jacfwd(functools.partial(disks.render, size=20))(drawn)
        return jnp.stack([disks.tangents(drawn, size=20), jnp.stack(derivatives)])

    tangents, expected = np.swapaxes(draw(both, 20), 0, 1)
    assert tangents.shape == (20, 5, 20, 20, 1)
    np.testing.assert_allclose(tangents, expected, atol=1e-5)
    assert np.all(np.linalg.matrix_rank(tangents.reshape(20, 5, -1)) == 5)


@pytest.mark.parametrize("field", disks.Parameters._fields)
def test_tangents_are_finite_differences_away_from_the_ends_of_the_ramp(field):
    drawn, step = disks.draw(KEYS[0], size=20), 1e-2
    value = getattr(drawn, field)
    above, below = (disks.render(drawn._replace(**{field: value + t}), size=20) for t in (step, -step))
    tangent = disks.tangents(drawn, size=20)[disks.Parameters._fields.index(field)]
    rows, columns = np.mgrid[:20, :20] + 0.5
    inside = drawn.radius + 0.5 - np.hypot(rows - drawn.row, columns - drawn.column)
    away = np.minimum(np.abs(inside), np.abs(inside - 1)) > 2 * step
    assert away.mean() > 0.9
    np.testing.assert_allclose(((above - below) / (2 * step))[away], tangent[away], atol=2e-3)


def test_derivatives_are_finite_where_a_pixel_lies_on_the_centre():
    centred = disks.Parameters(*map(jnp.asarray, (1.0, 0.0, 0.25, 4.5, 4.5)))
    render = functools.partial(disks.render, size=9)
    differentiate = jax.jit(lambda p: (jax.jacfwd(render)(p), jax.grad(lambda q: render(q).sum())(p)))
    forward, backward = differentiate(centred)
    assert all(np.isfinite(leaf).all() for leaf in (*forward, *backward))
    np.testing.assert_allclose(disks.tangents(centred, size=9), jnp.stack(forward), atol=1e-6)


# waves


@pytest.mark.parametrize(("size", "frequency"), [(16, (0, 1)), (15, (2, 3)), (16, (8, 1))])
def test_waves_span_the_plane(size, frequency):
    images, plane = draw(waves.sample, 50, size=size, frequency=frequency), waves.plane(size=size, frequency=frequency)
    values = singular_values(images)
    assert values[1] > 0.3 * values[0]
    assert values[2] < 1e-5 * values[0]
    basis = np.asarray(plane, np.float64).reshape(2, -1)
    np.testing.assert_allclose(basis @ basis.T, np.eye(2), atol=1e-6)
    flat = images.reshape(50, -1)
    np.testing.assert_allclose(flat @ basis.T @ basis, flat, atol=1e-5)


def test_amplitude_and_phase_of_waves_are_uniform():
    coefficients = draw(waves.sample, size=16).reshape(NUM, -1) @ np.asarray(waves.plane(size=16)).reshape(2, -1).T
    cosine, sine = coefficients.T * np.sqrt(2) / 16
    assert_uniform(np.hypot(cosine, sine))
    assert_uniform(np.arctan2(sine, cosine), -np.pi, np.pi)


@pytest.mark.parametrize("frequency", [(0, 1), (3, 1), (2, 0)])
def test_a_wave_has_one_frequency_and_mean_zero(frequency):
    power = np.abs(np.fft.fft2(draw(waves.sample, 1, size=16, frequency=frequency)[0, ..., 0])) ** 2
    peak = power[frequency]
    assert power[tuple(-f for f in frequency)] == pytest.approx(peak)
    assert 2 * peak == pytest.approx(power.sum(), rel=1e-6)


# ray


def test_the_ray_is_the_multiples_of_one_image():
    images, image = quick("ray"), quick("calpha")[3]
    values = singular_values(images)
    assert values[1] < 1e-5 * values[0]
    scale = images.reshape(NUM, -1) @ image.ravel() / np.sum(image**2)
    assert_uniform(scale)
    np.testing.assert_allclose(images, scale[:, None, None, None] * image, atol=1e-5)
    direction = jax.jit(functools.partial(ray.direction, size=12, image_seed=3))()
    np.testing.assert_allclose(direction, image / np.linalg.norm(image), atol=1e-5)


@pytest.mark.parametrize("function", [ray.direction, functools.partial(ray.sample, KEYS[0])])
def test_the_ray_takes_size_and_exponent_from_its_options(monkeypatch, function):
    seen = []
    monkeypatch.setattr(calpha, "sample", lambda key, **options: seen.append(options) or jnp.ones((9, 9, 1)))
    function(size=9, alpha=1.5)
    assert seen == [dict(size=9, alpha=1.5)]


# shuffled


def test_shuffled_images_are_calpha_images_in_the_order_of_the_permutation():
    images, before = quick("shuffled"), quick("calpha")
    order = shuffled.permutation(12, 2)
    np.testing.assert_allclose(images.reshape(NUM, -1), before.reshape(NUM, -1)[:, order], atol=1e-5)
    np.testing.assert_allclose(shuffled.unshuffle(images, permutation_seed=2), before, atol=1e-5)


def test_shuffled_images_take_size_and_exponents_from_their_options(monkeypatch):
    seen = []
    monkeypatch.setattr(calpha, "sample", lambda key, **options: seen.append(options) or jnp.ones((9, 9, 1)))
    shuffled.sample(KEYS[0], size=9, alpha=1.5, background_alpha=4.0)
    assert seen == [dict(size=9, alpha=1.5, background_alpha=4.0)]


def test_a_permutation_moves_nearly_all_pixels_and_depends_on_its_seed():
    orders = [np.asarray(shuffled.permutation(20, seed)) for seed in (0, 0, 1)]
    np.testing.assert_array_equal(np.sort(orders[0]), np.arange(400))
    np.testing.assert_array_equal(orders[0], orders[1])
    for other in (orders[2], np.arange(400)):
        assert np.sum(orders[0] == other) < 8  # one on average


@pytest.mark.parametrize("shape", [(4, 6, 3), (2, 3, 5, 5, 1)])
def test_unshuffle_inverts_shuffle_and_keeps_channels_together(shape):
    images = jax.random.normal(jax.random.key(1), shape)
    moved = shuffled.shuffle(images, permutation_seed=5)
    assert not np.array_equal(moved, images)
    np.testing.assert_array_equal(shuffled.unshuffle(moved, permutation_seed=5), images)
    np.testing.assert_array_equal(shuffled.shuffle(images[..., :1], permutation_seed=5), moved[..., :1])


def test_a_shuffle_destroys_the_correlation_of_neighbours():
    def correlation(images):
        return np.corrcoef(images[..., 1:, :].ravel(), images[..., :-1, :].ravel())[0, 1]

    images = quick("calpha") - quick("calpha").mean((1, 2), keepdims=True)
    assert correlation(images) > 0.8
    assert abs(correlation(np.asarray(shuffled.shuffle(jnp.asarray(images, jnp.float32))))) < 0.1


# polygons


@pytest.mark.parametrize("alpha", [1.0, 2.5])
@pytest.mark.parametrize("shape", [(32,), (24, 24)])
def test_processes_have_unit_variance_and_the_power_of_their_law(shape, alpha):
    fields = draw(polygons._gaussian, shape=shape, alpha=alpha)
    axes = tuple(range(1, fields.ndim))
    np.testing.assert_allclose(fields.mean(axes), 0, atol=1e-5)
    variance = fields.var(axes)
    assert abs(variance.mean() - 1) < 4 * variance.std() / np.sqrt(NUM)
    power = np.abs(np.fft.fftn(fields, axes=axes)) ** 2
    first = power[(slice(None), *(1,) + (0,) * (len(shape) - 1))].mean()
    for k in (2, 5, 10):
        measured = power[(slice(None), *(0,) * (len(shape) - 1), k)].mean() / first
        assert measured == pytest.approx(1.05 / (0.05 + k ** (2 * alpha)), rel=4 * np.sqrt(2 / NUM))


@pytest.fixture
def flat(monkeypatch):
    """Straight edges and constant grey levels."""
    monkeypatch.setattr(polygons, "_gaussian", lambda key, shape, alpha: jnp.zeros(shape))


@pytest.mark.usefixtures("flat")
@pytest.mark.parametrize("degree", [1, 3, 6])
def test_regions_are_polygons_about_the_centre_at_distances_of_a_quarter_to_a_half(degree):
    size = 41
    masks = draw(lambda key: polygons._region(key, size, 2.0, degree), 50)
    rows, columns = (np.mgrid[:size, :size] - size // 2) * 2 / size
    outside = np.where(masks < 0.5, np.hypot(rows, columns), np.inf).min((1, 2))
    assert np.all((outside > 0.25 - 1e-6) & (outside < 0.5 + 2 / size))
    hard = masks > 0.5
    for axis in (1, 2):  # convex: one run along every line
        assert np.abs(np.diff(hard.astype(int), axis=axis)).sum(axis).max() <= 2
    partial = ((masks > 0) & (masks < 1)).sum((1, 2))
    assert partial.max() < 3 * degree * size
    assert partial.min() > 0


def half_planes(monkeypatch, process, number=100):
    """Masks (number, 41, 41) of single edges displaced by a third of process(t), t along the edge."""
    along = np.sqrt(2) * (np.arange(82) / 41 - 1)
    monkeypatch.setattr(polygons, "_gaussian", lambda key, shape, alpha: jnp.asarray(process(along), jnp.float32))
    return draw(lambda key: polygons._region(key, 41, 2.0, 1), number)


def turns(masks):
    """Angle in turns at which half-planes end, from the right downwards."""
    down, across = (np.gradient(masks, axis=axis)[:, 3:-3, 3:-3].sum((1, 2)) for axis in (1, 2))
    return np.arctan2(-down, -across) / (2 * np.pi) % 1


def test_the_normal_of_an_edge_is_uniform_on_the_middle_third_of_its_sector(monkeypatch):
    assert_uniform(turns(half_planes(monkeypatch, lambda t: 0 * t)), 1 / 3, 2 / 3)


def test_edges_are_displaced_by_a_third_of_the_process_at_the_place_along_them(monkeypatch):
    straight, tilted = (turns(half_planes(monkeypatch, process)) for process in (lambda t: 0 * t, lambda t: 3 * t))
    np.testing.assert_allclose((straight - tilted) % 1, 1 / 8, atol=0.01)  # n.p - t.p <= o
    near, far = (half_planes(monkeypatch, lambda t, c=c: c + 0 * t)[:, 20].sum(1) for c in (-1, -2))
    shift = 41 / 2 / 3  # pixels along the normal, which is within 60 degrees of the row
    assert (near - far).min() == pytest.approx(shift, abs=0.1)
    assert (near - far).max() < 2 * shift + 0.1


@pytest.mark.usefixtures("flat")
def test_one_grey_level_is_dark_and_the_other_bright_by_a_fair_coin():
    images = draw(polygons.sample, size=15, alpha=2.0)
    centre, low, high = images[:, 7, 7, 0], images.min((1, 2, 3)), images.max((1, 2, 3))
    assert_uniform(low, 0, 0.5)
    assert_uniform(high, 0.5, 1)
    assert np.mean(centre > 0.5) == pytest.approx(0.5, abs=2 / np.sqrt(NUM))
    assert abs(np.corrcoef(low, high)[0, 1]) < 4 / np.sqrt(NUM)


def test_polygon_images_stay_in_the_unit_range_and_get_smoother_with_alpha():
    radius = np.hypot(*np.meshgrid(np.fft.fftfreq(12, 1 / 12), np.fft.fftfreq(12, 1 / 12)))
    share = []
    for images in (draw(polygons.sample, size=12, alpha=1.0), quick("polygons")):
        assert images.min() >= 0
        assert images.max() <= 1
        power = (np.abs(np.fft.fft2(images[..., 0])) ** 2).mean(0)
        share.append(power[radius > 3].sum() / power[radius > 0].sum())
    assert share[0] > 1.5 * share[1]


def test_edges_and_fields_of_polygon_images_have_their_own_exponents(monkeypatch):
    seen = []
    monkeypatch.setattr(
        polygons, "_gaussian", lambda key, shape, alpha: seen.append((shape, alpha)) or jnp.zeros(shape)
    )
    for options in ({}, dict(background_alpha=4.0)):
        jax.eval_shape(functools.partial(polygons.sample, size=8, alpha=1.5, **options), KEYS[0])
    assert {alpha for shape, alpha in seen[:3]} == {1.5}
    assert set(seen[3:]) == {((16,), 1.5), ((8, 8), 4.0)}
