"""The card study: marks that tell exact denoisers from others, the known KL integral, and published networks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import get_config
from jax.tree_util import Partial
from matplotlib import pyplot as plt
from safetensors.numpy import save_file

from gahr import noise
from gahr.analysis import identities
from gahr.classical.analytic import fit_gaussian
from gahr.data import files
from gahr.experiment.progress import Progress
from gahr.models import published
from gahr.models.bfcnn import BFCNN
from gahr.models.layers import initialize
from gahr.studies.card import STUDY, analysis
from gahr.studies.shared.study import Run

KEY = jax.random.key(0)


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
    return STUDY.analyze(**options)(runs, KEY, progress=Progress())


def test_exact_denoisers_meet_every_mark_and_the_known_ones_have_their_traces(arrays):
    checks = {check.name: check for check in STUDY.check(arrays, standard_errors=4.0)}
    marked = {name: check.met for name, check in checks.items() if check.met is not None}
    assert all(marked.values())
    assert len(marked) == 5 + 2 + 1  # SURE of all, tr J of the exact, one KL integral
    excess, mse = (arrays[f"Gaussian/{field}"] for field in ("excess", "mse"))
    assert np.all(excess[:, 1] < 0.1 * mse[:, 0])  # so that the marks mean something
    np.testing.assert_allclose(arrays["half/trace"][:, 0], 32, rtol=1e-5)
    np.testing.assert_allclose(arrays["half/energy"][:, 0], 16, rtol=1e-5)
    np.testing.assert_allclose(arrays["half/slope"][:, 0], 0.5, rtol=1e-5)
    trace, error = arrays["smoothing filter/trace"].T
    assert np.all(abs(trace - (9 / 2) ** 2) < 4 * error)  # (n + 1) / 2 along each side: 1/2 a pixel, 3/4 at the ends
    assert arrays["smoothing filter/asymmetry"].max() < 1e-5


def test_the_linear_denoiser_obeys_every_identity_without_being_exact(arrays):
    get = lambda field: arrays[f"linear/{field}"][:, 0]
    assert np.all(abs(get("excess")) < 4 * arrays["linear/excess"][:, 1])
    np.testing.assert_allclose(get("measured_slope")[1:-1], get("slope")[1:-1], atol=0.1)  # levels 8 dB apart
    assert get("asymmetry").max() < 1e-3
    assert get("linearity_error").max() < 1e-4
    assert get("homogeneity_error").max() < 1e-4


def test_cards_are_of_test_images_and_the_gaussian_is_fitted_to_training_images(arrays):
    clean, sigmas = images("test", 100), arrays["sigmas"]
    normal = noise.standard_normal(jax.random.split(KEY, 3)[1], clean)
    mse = [jnp.sum((clean - sigma * normal) ** 2) / 400 / sigma**2 for sigma in sigmas]
    np.testing.assert_allclose(arrays["half/mse"][:, 0], mse, rtol=1e-4)
    eigenvalues = fit_gaussian(images("a", 2000))[1]
    trace, error = arrays["Gaussian/trace"].T
    assert np.all(abs(trace - [jnp.sum(eigenvalues / (eigenvalues + sigma**2)) for sigma in sigmas]) < 4 * error)


def test_marks_are_missed_by_a_denoiser_that_is_not_exact(arrays):
    false = arrays | {"exact": np.array([True] * 5), "kl/theory": 1.1 * arrays["kl/theory"]}
    met = {check.name: check.met for check in STUDY.check(false, standard_errors=4.0)}
    assert met["half, exact: |mse d / sigma^2 - tr J|, largest over sigma"] is False
    assert met["smoothing filter, exact: |mse d / sigma^2 - tr J|, largest over sigma"] is False
    assert [value for name, value in met.items() if name.startswith("KL") and value is not None] == [False]
    assert all(check.met is None for check in STUDY.check(arrays))


def test_the_error_of_a_ratio_of_means_is_that_of_any_ratio():
    others = np.exp(np.random.default_rng(0).normal(size=(500, 200)))  # 500 cards of 200 images
    np.testing.assert_allclose(identities._ratio_of_means(2 * others, others), [[2, 0]] * 500, atol=1e-6)
    values = 2 * others + others * np.random.default_rng(1).normal(size=others.shape)
    ratio, error = identities._ratio_of_means(values, others).T
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


def test_published_networks_are_given_crops_of_their_channels(tmp_path, monkeypatch):
    model, files_of = BFCNN(features=3, num_layers=3), {name: tmp_path / f"{name}.safetensors" for name in "abc"}
    for file, channels in zip(files_of.values(), (3, 3, 1), strict=True):
        save_file(published.export(model, initialize(model, KEY, (8, 8, channels))), file)

    def subjects(networks, clean, fitted, key):
        assert list(networks) == ["a", "b"]
        assert networks["b"](clean, 0.1).shape == clean.shape == (8, 6, 6, 3)
        assert fitted.shape == (64, 6, 6, 3)
        raise StopIteration

    monkeypatch.setattr(analysis, "_subjects", subjects)
    made = get_config(f"weights={files_of['a']}+{files_of['b']},size=6,scale=smoke", file="card")
    assert list(made.runs) == []
    with pytest.raises(StopIteration):
        STUDY.analyze(**made.study.analysis)({}, KEY, progress=Progress())
    with pytest.raises(ValueError, match="different channels: a 3, c 1"):
        STUDY.analyze(weights=f"{files_of['a']}+{files_of['c']}")({}, KEY, progress=Progress())


def test_the_figure_is_drawn(arrays):
    figure = STUDY.draw(arrays, title="title")
    figure.canvas.draw()
    plt.close(figure)
