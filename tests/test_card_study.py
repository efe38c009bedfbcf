"""The card study: marks that tell exact denoisers from others, the known KL integral, and the command."""

import runpy
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import Partial
from safetensors.numpy import save_file

from gahr import experiment, noise
from gahr.classical.analytic import fit_gaussian
from gahr.data import files
from gahr.experiment.progress import Progress
from gahr.models import published
from gahr.models.bfcnn import BFCNN
from gahr.models.layers import initialize
from gahr.studies.card import STUDY, analysis
from gahr.studies.shared.study import Run

ROOT = Path(__file__).parent.parent
KEY = jax.random.key(0)


def config(argument):
    return runpy.run_path(str(ROOT / "configs" / "card.py"))["get_config"](argument)


def images(subset, number):
    """Random walks down and right, of random contrast: others in each subset."""
    random = np.random.default_rng(len(subset))
    walks = random.normal(size=(number, 8, 8, 1)).cumsum(1).cumsum(2)
    return jnp.asarray(0.5 + 0.02 * np.exp(random.normal(size=(number, 1, 1, 1))) * walks, jnp.float32)


@pytest.fixture(scope="module")
def arrays():
    """Arrays of the study of y / 2."""
    runs = {"half": Run(None, Partial(lambda noisy, sigma: noisy / 2), images, {})}
    options = dict(num_images=100, num_fit=2000, num_levels=6, num_probes=2)
    with Progress() as progress:
        return STUDY.analyze(**options)(runs, KEY, progress=progress)


def test_exact_denoisers_meet_every_mark_and_the_known_ones_have_their_traces(arrays):
    checks = {check.name: check for check in STUDY.check(arrays, standard_errors=4.0)}
    marked = {name: check.met for name, check in checks.items() if check.met is not None}
    assert all(marked.values())
    assert len(marked) == 4 + 2 + 1  # SURE of all, tr J of the exact, one KL integral
    excess, mse = (arrays[f"Gaussian/{field}"] for field in ("excess", "mse"))
    assert np.all(excess[:, 1] < 0.1 * mse[:, 0])  # so that the marks mean something
    np.testing.assert_allclose(arrays["half/trace"][:, 0], 32, rtol=1e-5)
    np.testing.assert_allclose(arrays["half/energy"][:, 0], 16, rtol=1e-5)
    np.testing.assert_allclose(arrays["half/slope"][:, 0], 0.5, rtol=1e-5)
    trace, error = arrays["smoothing filter/trace"].T
    assert np.all(abs(trace - (9 / 2) ** 2) < 4 * error)  # (n + 1) / 2 along each side: 1/2 a pixel, 3/4 at the ends
    assert arrays["smoothing filter/asymmetry"].max() < 1e-5


def test_cards_are_of_test_images_and_the_gaussian_is_fitted_to_training_images(arrays):
    clean, sigmas = images("test", 100), arrays["sigmas"]
    normal = noise.standard_normal(KEY, clean)
    mse = [jnp.sum((clean - sigma * normal) ** 2) / 400 / sigma**2 for sigma in sigmas]
    np.testing.assert_allclose(arrays["half/mse"][:, 0], mse, rtol=1e-4)
    eigenvalues = fit_gaussian(images("a", 2000))[1]
    trace, error = arrays["Gaussian/trace"].T
    assert np.all(abs(trace - [jnp.sum(eigenvalues / (eigenvalues + sigma**2)) for sigma in sigmas]) < 4 * error)


def test_marks_are_missed_by_a_denoiser_that_is_not_exact(arrays):
    false = arrays | {"exact": np.array([True] * 4), "kl/theory": 1.1 * arrays["kl/theory"]}
    met = {check.name: check.met for check in STUDY.check(false, standard_errors=4.0)}
    assert met["half, exact: |mse d / sigma^2 - tr J|, largest over sigma"] is False
    assert met["smoothing filter, exact: |mse d / sigma^2 - tr J|, largest over sigma"] is False
    assert [value for name, value in met.items() if name.startswith("KL") and value is not None] == [False]
    assert all(check.met is None for check in STUDY.check(arrays))


def test_the_error_of_a_ratio_of_means_is_that_of_any_ratio():
    others = np.exp(np.random.default_rng(0).normal(size=(500, 200)))  # 500 cards of 200 images
    np.testing.assert_allclose(analysis._ratio_of_means(2 * others, others), [[2, 0]] * 500, atol=1e-6)
    values = 2 * others + others * np.random.default_rng(1).normal(size=others.shape)
    ratio, error = analysis._ratio_of_means(values, others).T
    assert np.sqrt(np.mean(error**2)) == pytest.approx(float(np.std(ratio)), rel=0.1)


def test_the_integrand_between_two_gaussians_is_its_closed_form(arrays):
    measured = arrays[f"kl/{analysis.SHRUNK}/integrand"]
    np.testing.assert_allclose(measured, arrays["kl/theory_integrand"], rtol=0.15)
    fine = np.log(arrays["kl/sigmas"])
    integral = np.trapezoid(arrays["kl/theory_integrand"], fine)
    assert integral == pytest.approx(float(arrays["kl/theory"]), rel=5e-3)


def test_the_slope_of_the_mean_mse_is_that_of_exact_jacobians(arrays):
    for name in ("Gaussian", "mixture"):
        found, theory = (arrays[f"{name}/{field}"][:, 0] for field in ("measured_slope", "slope"))
        np.testing.assert_allclose(found[1:-1], theory[1:-1], atol=0.08)  # levels 8 dB apart
    plain = [arrays[f"smoothing filter/{field}"][:, 0] for field in ("measured_slope", "slope")]
    assert abs(plain[0] - plain[1]).max() > 0.2


def test_images_of_the_mixture_have_its_mean_and_covariance():
    laws = [
        (jnp.full((1, 2, 1), mean), jnp.array([0.5, 0.1]), jnp.eye(2).reshape(2, 1, 2, 1)) for mean in (-1.0, 0.0, 2.0)
    ]
    drawn = analysis._draw_images(jax.random.key(0), 20_000, laws).reshape(-1, 2)
    spread = np.var([-1, 0, 2])
    np.testing.assert_allclose(drawn.mean(0), 1 / 3, atol=4 * np.sqrt((spread + 0.5) / 20_000))
    np.testing.assert_allclose(np.cov(drawn.T), spread + np.diag([0.5, 0.1]), atol=0.06)


def test_crops_are_different_parts_of_the_picture():
    path, picture = files.photograph(), files.read_image(files.photograph())
    crops = files.crops(path, size=24, number=6)
    assert crops.shape == (6, 24, 24, 1)
    np.testing.assert_array_equal(crops[0], picture[:24, :24])
    assert len(np.unique(files.crops(path, size=24, number=500), axis=0)) == 500
    np.testing.assert_allclose(
        files.crops(path, size=24, number=6, channels=3).mean(-1, keepdims=True), crops, rtol=1e-6
    )
    with pytest.raises(ValueError, match="too small for crops of 600"):
        files.crops(path, size=600, number=2)
    with pytest.raises(ValueError, match="different crops"):
        files.crops(path, size=510, number=2000)


def test_options_that_cannot_be_are_named():
    for field, value in dict(num_images=1, num_levels=1, lowest_db=50.0, weights="none.npz").items():
        with pytest.raises(ValueError, match=f"{field}(:| must)"):
            STUDY.analyze(**{field: value})


def test_published_colour_networks_side_by_side(tmp_path):
    for name, channels in (("one", 3), ("two", 3), ("grey", 1)):
        model = BFCNN(features=3, num_layers=3)
        variables = initialize(model, jax.random.key(0), (8, 8, channels))
        save_file(published.export(model, variables), tmp_path / f"{name}.safetensors")
    one, two, grey = (tmp_path / f"{name}.safetensors" for name in ("one", "two", "grey"))
    made = config(f"weights={one}+{two},size=6,scale=smoke")
    experiment.train(made, tmp_path / "run")  # nothing
    names = {check.name for check in experiment.study(made, tmp_path / "run")}
    assert {"one: |J|^2 / tr J", "two: |J|^2 / tr J", "mixture, exact: |J|^2 / tr J"} <= names
    assert (tmp_path / "run" / "figures" / "card.pdf").stat().st_size > 10_000
    with np.load(tmp_path / "run" / "study.npz") as arrays:
        assert arrays["shape"].tolist() == [6, 6, 3]
        assert np.isfinite(arrays["one/mse"]).all()
    with pytest.raises(ValueError, match="holds no run"):
        experiment.load_denoiser(tmp_path / "run")
    with Progress() as progress, pytest.raises(ValueError, match="different channels: one 3, grey 1"):
        STUDY.analyze(weights=f"{one}+{grey}")({}, KEY, progress=progress)


def test_the_config_trains_a_network_only_where_no_weights_are_given():
    assert list(config("scale=smoke").runs) == ["alpha3"]
    assert len(config("scale=laptop,weights=a.npz+b.npz").runs) == 0
    with pytest.raises(ValueError, match="size must be a positive"):
        config("weights=a.npz,size=0")
