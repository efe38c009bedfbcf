"""Sets that are made: one protocol; disks, waves, rays, shuffled and polygon-like images by what defines them."""

import functools
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import assert_uniform, each

from gahr.data import DATASETS, calpha, disks, modes, polygons, ray, shuffled, splits, waves
from gahr.names import options_of

NUM = 1000
KEYS = jax.vmap(jax.random.key)(jnp.arange(NUM))
SMALL = {  # set -> options of a quick image
    "calpha": dict(size=12, alpha=3.0),
    "disks": dict(size=12),
    "modes": dict(size=2),
    "polygons": dict(size=12, alpha=3.0),
    "ray": dict(size=12, image_seed=3),
    "shuffled": dict(size=12, alpha=3.0, permutation_seed=2),
    "waves": dict(size=12, frequency=(1, 2)),
}


def draw(function, keys=KEYS, **options):
    return each(function, keys, **options)


@functools.cache
def related():
    """Images (NUM, 12, 12, 1) of calpha, ray and shuffled at the same keys; number i is that of `jax.random.key(i)`."""
    return draw(lambda key: [module.sample(key, **SMALL[module.__name__[10:]]) for module in (calpha, ray, shuffled)])


# all sets


def test_every_set_that_is_made_keeps_the_protocol():
    assert {*SMALL, "file"} == set(DATASETS)
    wrong = []
    for name, options in SMALL.items():
        made = DATASETS[name](KEYS[0], **options_of(DATASETS[name], options))
        images = jax.eval_shape(functools.partial(made.take, subset="b", set_size=5), jnp.arange(3))
        found = (made.shape, made.sizes, made.digest, images.shape, images.dtype, len(jax.tree.leaves(made.take)))
        shape = (1, 2, 1) if name == "modes" else (12, 12, 1)
        if found != (shape, splits.SIZES, None, (3, *shape), jnp.float32, 1):
            wrong.append((name, found))
        if inspect.signature(DATASETS[name]) != inspect.signature(globals()[name].sample):
            wrong.append((name, "signature"))
    assert wrong == []


def test_an_image_of_a_set_is_the_image_of_its_key():
    take = jax.jit(functools.partial(DATASETS["disks"](KEYS[1], size=12).take, subset="b", set_size=5))
    keys = jnp.stack([jax.random.fold_in(KEYS[1], splits.SIZES["a"] + i) for i in (3, 0, 3)])
    np.testing.assert_allclose(take(jnp.array([3, 0, 8])), draw(disks.sample, keys, size=12), atol=1e-5)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("disks", dict(size=6), "size must be a whole number from 7, got 6"),
        ("waves", dict(size=8, frequency=(0, 0)), "no phase"),
        ("waves", dict(size=8, frequency=(4, 8)), "no phase on 8 pixels"),
        ("waves", dict(frequency=(0, 0.5)), "whole periods"),
        ("ray", dict(alpha=0.0), "alpha must be positive"),
        ("shuffled", dict(alpha=1.0, size=1), "size must be a whole number from 2"),
        ("polygons", dict(alpha=0.0), "alpha must be positive, got 0"),
        ("polygons", dict(alpha=1.0, background_alpha=float("nan")), "background_alpha must be positive"),
        ("polygons", dict(alpha=1.0, degree=0), "degree must be a whole number from 1"),
        ("polygons", dict(alpha=1.0, size=1), "size must be a whole number from 2"),
    ],
)
def test_impossible_options_are_refused_before_any_image_is_made(name, options, message):
    with pytest.raises(ValueError, match=message):
        DATASETS[name](KEYS[0], **options)


# disks


def test_disk_parameters_are_uniform_on_their_ranges():
    ranges = {80: (3, 38), 16: (3, 6), 13: (2.5, 5), 7: (1, 2)}
    drawn_each = draw(lambda key: [disks.draw(key, size=size) for size in ranges])
    for (size, radii), drawn in zip(ranges.items(), drawn_each, strict=True):
        assert_uniform(drawn.foreground)
        assert_uniform(drawn.background)
        assert_uniform(drawn.radius, *radii)
        for centre in (drawn.row, drawn.column):
            assert_uniform((centre - drawn.radius) / (size - 2 * drawn.radius))
        assert np.abs(np.corrcoef(drawn)[np.triu_indices(5, 1)]).max() < 4 / np.sqrt(NUM)


def test_a_disk_is_a_circle_with_a_ramp_about_its_centre():
    radius, centre, pixel = jnp.linspace(3, 25, 200), (40.3, 39.6), np.arange(80) + 0.5
    render = jax.vmap(lambda r: disks.render(disks.Parameters(1.0, 0.0, r, *centre), size=80)[..., 0])
    masks = np.asarray(jax.jit(render)(radius))
    areas = masks.sum((1, 2))
    expected = np.pi * (np.asarray(radius) ** 2 + 1 / 12)  # the mean of pi (r + t)^2 over |t| < 1/2
    np.testing.assert_allclose(areas, expected, atol=0.5)
    np.testing.assert_allclose(np.mean(areas - expected), 0, atol=0.05)
    moments = np.stack([masks.sum(axis) @ pixel / areas for axis in (2, 1)], 1)
    np.testing.assert_allclose(moments[radius > 5], np.broadcast_to(centre, moments[radius > 5].shape), atol=0.02)
    assert np.all(masks[:, 40, 39] == 1)


def test_disks_have_the_mean_area_of_their_law_and_lie_in_the_unit_range():
    drawn, images = draw(lambda key: (disks.draw(key, size=24), disks.sample(key, size=24)))
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


@pytest.mark.parametrize("ramp", [1.0, 2.5])
def test_tangents_are_the_derivatives_of_the_image(ramp):
    def both(key):
        drawn, options = disks.draw(key, size=20), dict(size=20, ramp=ramp)
        derivatives = jax.jacfwd(functools.partial(disks.render, **options))(drawn)
        return disks.tangents(drawn, **options), jnp.stack(derivatives)

    tangents, expected = draw(both, KEYS[:20])
    assert tangents.shape == (20, 5, 20, 20, 1)
    np.testing.assert_allclose(tangents, expected, atol=1e-5)
    assert np.all(np.linalg.matrix_rank(tangents.reshape(20, 5, -1)) == 5)


def test_derivatives_are_finite_where_a_pixel_lies_on_the_centre():
    centred = disks.Parameters(*map(jnp.asarray, (1.0, 0.0, 0.25, 4.5, 4.5)))
    render = functools.partial(disks.render, size=9)
    derivatives = jax.jit(lambda p: (jax.jacfwd(render)(p), jax.grad(lambda q: render(q).sum())(p)))(centred)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(derivatives))
    tangents = jax.jit(functools.partial(disks.tangents, size=9))(centred)
    np.testing.assert_allclose(tangents, jnp.stack(derivatives[0]), atol=1e-6)


# waves


def test_waves_fill_a_disk_in_their_plane_and_have_one_frequency_and_mean_zero():
    variants = [dict(size=16, frequency=(0, 1)), dict(size=15, frequency=(2, 3)), dict(size=16, frequency=(8, 1))]
    drawn = draw(lambda key: [waves.sample(key, **options) for options in variants])
    for (size, frequency), images in zip(map(dict.values, variants), drawn, strict=True):
        flat = images.reshape(NUM, -1)
        basis = np.float64(waves.plane(size=size, frequency=frequency)).reshape(2, -1)
        np.testing.assert_allclose(basis @ basis.T, np.eye(2), atol=1e-6)
        np.testing.assert_allclose(flat @ basis.T @ basis, flat, atol=1e-5)
        cosine, sine = (flat @ basis.T).T * np.sqrt(2) / size
        assert_uniform(np.hypot(cosine, sine))
        assert_uniform(np.arctan2(sine, cosine), -np.pi, np.pi)
        power = np.abs(np.fft.fft2(images[0, ..., 0])) ** 2
        assert power[tuple(-f for f in frequency)] == pytest.approx(power[frequency])
        assert 2 * power[frequency] == pytest.approx(power.sum(), rel=1e-6)


# ray and shuffled


def test_the_ray_is_the_multiples_of_one_image():
    calphas, images, _ = related()
    image = calphas[3]
    scale = images.reshape(NUM, -1) @ image.ravel() / np.sum(image**2)
    assert_uniform(scale)
    np.testing.assert_allclose(images, scale[:, None, None, None] * image, atol=1e-5)
    direction = jax.jit(functools.partial(ray.direction, size=12, image_seed=3))()
    np.testing.assert_allclose(direction, image / np.linalg.norm(image), atol=1e-5)


def test_ray_and_shuffled_images_pass_their_options_on(monkeypatch):
    seen = []
    monkeypatch.setattr(calpha, "sample", lambda key, **options: seen.append(options) or jnp.ones((9, 9, 1)))
    for function, given in (
        (lambda key, **options: ray.direction(**options), dict(size=9, alpha=1.5)),
        (ray.sample, dict(size=9, alpha=1.5)),
        (shuffled.sample, dict(size=9, alpha=1.5, background_alpha=4.0)),
    ):
        jax.eval_shape(functools.partial(function, **given), KEYS[0])
    assert seen == [dict(size=9, alpha=1.5)] * 2 + [dict(size=9, alpha=1.5, background_alpha=4.0)]


def test_shuffled_images_are_calpha_images_in_the_order_of_the_permutation():
    before, _, images = related()
    order = shuffled.permutation(12, 2)
    np.testing.assert_allclose(images.reshape(NUM, -1), before.reshape(NUM, -1)[:, order], atol=1e-5)
    np.testing.assert_allclose(shuffled.unshuffle(images, permutation_seed=2), before, atol=1e-5)


def test_a_permutation_moves_nearly_all_pixels_and_depends_on_its_seed():
    orders = [np.asarray(shuffled.permutation(12, seed)) for seed in (0, 0, 1)]
    np.testing.assert_array_equal(np.sort(orders[0]), np.arange(144))
    np.testing.assert_array_equal(orders[0], orders[1])
    for other in (orders[2], np.arange(144)):
        assert np.sum(orders[0] == other) < 8  # one on average


def test_unshuffle_inverts_shuffle_and_keeps_channels_together():
    images = jax.random.normal(jax.random.key(1), (2, 3, 9, 16, 3))
    moved = shuffled.shuffle(images, permutation_seed=5)
    assert not np.array_equal(moved, images)
    np.testing.assert_array_equal(shuffled.unshuffle(moved, permutation_seed=5), images)
    np.testing.assert_array_equal(shuffled.shuffle(images[0, 1, ..., :1], permutation_seed=5), moved[0, 1, ..., :1])


def test_a_shuffle_destroys_the_correlation_of_neighbours():
    def correlation(images):
        return np.corrcoef(images[..., 1:, :].ravel(), images[..., :-1, :].ravel())[0, 1]

    images = related()[0] - related()[0].mean((1, 2), keepdims=True)
    assert correlation(images) > 0.8
    assert abs(correlation(np.asarray(shuffled.shuffle(jnp.asarray(images, jnp.float32))))) < 0.1


# polygons


@pytest.mark.parametrize("shape", [(32,), (24, 24)])
def test_processes_have_unit_variance_and_the_power_of_their_law(shape):
    alphas, axes = (1.0, 2.5), tuple(range(1, 1 + len(shape)))
    processes = draw(lambda key: [polygons._gaussian(key, shape, alpha) for alpha in alphas])
    for alpha, fields in zip(alphas, processes, strict=True):
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
def test_regions_are_polygons_about_the_centre_at_distances_of_a_quarter_to_a_half():
    size, degrees = 41, (1, 3, 6)
    drawn = draw(lambda key: [polygons._region(key, size, 2.0, degree) for degree in degrees], KEYS[:50])
    rows, columns = (np.mgrid[:size, :size] - size // 2) * 2 / size
    for degree, masks in zip(degrees, drawn, strict=True):
        outside = np.where(masks < 0.5, np.hypot(rows, columns), np.inf).min((1, 2))
        assert np.all((outside > 0.25 - 1e-6) & (outside < 0.5 + 2 / size))
        hard = masks > 0.5
        for axis in (1, 2):  # convex: one run along every line
            assert np.abs(np.diff(hard.astype(int), axis=axis)).sum(axis).max() <= 2
        partial = ((masks > 0) & (masks < 1)).sum((1, 2))
        assert partial.max() < 3 * degree * size
        assert partial.min() > 0


def test_edges_have_random_normals_and_are_displaced_by_a_third_of_the_process_along_them(monkeypatch):
    along = np.sqrt(2) * (np.arange(82) / 41 - 1)

    def region(key, process):  # (41, 41) of a single edge displaced by process(t) / 3, t along the edge
        monkeypatch.setattr(polygons, "_gaussian", lambda key, shape, alpha: jnp.asarray(process(along), jnp.float32))
        return polygons._region(key, 41, 2.0, 1)

    processes = (lambda t: 0 * t, lambda t: 3 * t, lambda t: -1 + 0 * t, lambda t: -2 + 0 * t)
    masks = np.stack(draw(lambda key: [region(key, process) for process in processes], KEYS[:100]))
    down, across = (np.gradient(masks[:2], axis=axis)[..., 3:-3, 3:-3].sum((2, 3)) for axis in (2, 3))
    straight, tilted = np.arctan2(-down, -across) / (2 * np.pi) % 1  # turns, from the right downwards
    assert_uniform(straight, 1 / 3, 2 / 3)  # the middle third of the sector
    np.testing.assert_allclose((straight - tilted) % 1, 1 / 8, atol=0.01)  # n.p - t.p <= o
    near, far = masks[2:, :, 20].sum(2)
    shift = 41 / 2 / 3  # pixels along the normal, which is within 60 degrees of the row
    assert (near - far).min() == pytest.approx(shift, abs=0.1)
    assert (near - far).max() < 2 * shift + 0.1


@pytest.mark.usefixtures("flat")
def test_one_grey_level_is_dark_and_the_other_bright_by_a_fair_coin():
    images = draw(polygons.sample, size=15, alpha=2.0)
    centre, low, high = images[:, 7, 7, 0], images.min((1, 2, 3)), images.max((1, 2, 3))
    assert_uniform(low, 0, 0.5)
    assert_uniform(high, 0.5, 1)
    coin = centre > 0.5
    assert coin.mean() == pytest.approx(0.5, abs=2 / np.sqrt(NUM))
    assert np.abs(np.corrcoef([coin, low, high])[np.triu_indices(3, 1)]).max() < 4 / np.sqrt(NUM)


def test_polygon_images_stay_in_the_unit_range_and_get_smoother_with_alpha():
    radius = np.hypot(*np.meshgrid(np.fft.fftfreq(12, 1 / 12), np.fft.fftfreq(12, 1 / 12)))
    share = []
    for images in draw(lambda key: [polygons.sample(key, size=12, alpha=alpha) for alpha in (1.0, 3.0)]):
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


# modes


@pytest.mark.parametrize("size", [1, 2])
def test_points_scatter_alike_about_each_centre(size):
    points = draw(lambda key: modes.sample(key, size=size, number=4, deviation=0.03))
    away = np.asarray(points - 0.5).reshape(NUM, size)
    centres = np.asarray(modes.centres(size=size, number=4) - 0.5).reshape(4, size)
    nearest = np.argmin(((away[:, None] - centres) ** 2).sum(-1), 1)
    np.testing.assert_allclose(np.bincount(nearest) / NUM, 1 / 4, atol=4 * np.sqrt(3 / 16 / NUM))
    np.testing.assert_allclose((away - centres[nearest]).std(0), 0.03, rtol=0.1)
    np.testing.assert_allclose(np.linalg.norm(centres, axis=1).max(), 0.35, rtol=1e-5)
    for options in (dict(size=3), dict(number=1), dict(radius=0.0), dict(deviation=-1.0)):
        with pytest.raises(ValueError, match=f"{next(iter(options))} must be"):
            modes.sample(KEYS[0], **options)
