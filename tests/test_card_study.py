"""The card study: marks that tell exact denoisers from others, the known KL integral, and the command."""

import json
import runpy
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gahr import experiment
from gahr.data import files
from gahr.models import published
from gahr.models.bfcnn import BFCNN
from gahr.models.layers import initialize
from gahr.experiment.progress import Progress
from gahr.studies import card as study
from gahr.studies.common import Run

ROOT = Path(__file__).parent.parent


def config(argument):
    return runpy.run_path(str(ROOT / "configs" / "card.py"))["get_config"](argument)


@pytest.fixture(scope="module")
def arrays(images):
    """Arrays of the study of y / 2 on 16 x 16 images."""
    make = lambda subset, number: images(jax.random.key(len(subset)), number)
    runs = {"half": Run(jax.tree_util.Partial(lambda noisy: noisy / 2), make, {"subset": "a"})}
    options = dict(num_images=100, num_fit=2000, num_levels=6, num_probes=2)
    with Progress("off") as progress:
        return study.analyze(runs, jax.random.key(0), progress=progress, **options)


def test_exact_denoisers_meet_every_mark_and_the_known_ones_have_their_traces(arrays):
    checks = {check.name: check for check in study.check(arrays, standard_errors=4.0)}
    marked = {name: check.met for name, check in checks.items() if check.met is not None}
    assert all(marked.values())
    assert len(marked) == 4 + 2 + 1  # SURE of all, tr J of the exact, one KL integral
    assert np.all(
        arrays["Gaussian/excess"][:, 1] < 0.1 * arrays["Gaussian/mse"][:, 0]
    )  # so that the marks mean something
    np.testing.assert_allclose(arrays["half/trace"][:, 0], 128, rtol=1e-5)
    np.testing.assert_allclose(arrays["half/energy"][:, 0], 64, rtol=1e-5)
    np.testing.assert_allclose(arrays["half/slope"][:, 0], 0.5, rtol=1e-5)
    trace, error = arrays["smoothing filter/trace"].T
    assert np.all(abs(trace - (17 / 2) ** 2) < 4 * error)  # (n + 1) / 2 along each side: 1/2 a pixel, 3/4 at the ends
    assert arrays["smoothing filter/asymmetry"].max() < 1e-5


def test_marks_are_missed_by_a_denoiser_that_is_not_exact(arrays):
    false = arrays | {"exact": np.array([True] * 4), "kl/theory": 1.1 * arrays["kl/theory"]}
    met = {check.name: check.met for check in study.check(false, standard_errors=4.0)}
    assert met["half, exact: |mse d / sigma^2 - tr J|, largest over sigma"] is False
    assert met["smoothing filter, exact: |mse d / sigma^2 - tr J|, largest over sigma"] is False
    assert [value for name, value in met.items() if name.startswith("KL") and value is not None] == [False]
    assert all(check.met is None for check in study.check(arrays))


def test_the_integrand_between_two_gaussians_is_its_closed_form(arrays):
    measured = arrays[f"kl/{study.SHRUNK}/integrand"]
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
    drawn = study._draw_images(jax.random.key(0), 20_000, laws).reshape(-1, 2)
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


@pytest.mark.parametrize(("field", "value"), [("num_images", 1), ("num_levels", 1), ("lowest_db", 50.0)])
def test_bad_options_are_named_before_training(tmp_path, field, value):
    made = config("scale=smoke")
    made.study.analysis[field] = value
    with pytest.raises(ValueError, match=rf"study\.analysis\.{field} must be"):
        experiment.train(made, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_published_networks_side_by_side_from_the_command_line(tmp_path):
    from safetensors.numpy import save_file

    for name, features in (("one", 3), ("two", 4)):
        model = BFCNN(features=features, num_layers=3)
        variables = initialize(model, jax.random.key(0), (8, 8, 1))
        save_file(published.export(model, variables), tmp_path / f"{name}.safetensors")
    weights = f"{tmp_path}/one.safetensors+{tmp_path}/two.safetensors"
    command = [sys.executable, "launch/main.py", "--config", f"configs/card.py:weights={weights},size=8,scale=smoke"]
    command += ["--workdir", str(tmp_path / "run"), "--progress=off"]
    subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    names = {check["name"] for check in json.loads((tmp_path / "run" / "results.json").read_text())["checks"]}
    assert {"one: |J|^2 / tr J", "two: |J|^2 / tr J", "mixture, exact: |J|^2 / tr J"} <= names
    assert (tmp_path / "run" / "figures" / "card.pdf").stat().st_size > 10_000
    with pytest.raises(ValueError, match="holds no run"):
        experiment.load_denoiser(tmp_path / "run")


def test_colour_networks_are_given_colour_crops(tmp_path):
    from matplotlib import pyplot as plt
    from safetensors.numpy import save_file

    for name, channels in (("colour", 3), ("grey", 1)):
        model = BFCNN(features=3, num_layers=3)
        variables = initialize(model, jax.random.key(0), (8, 8, channels))
        save_file(published.export(model, variables), tmp_path / f"{name}.safetensors")
    colour, grey = f"{tmp_path}/colour.safetensors", f"{tmp_path}/grey.safetensors"
    options = dict(num_images=8, num_fit=64, num_levels=3, num_probes=2, size=6)
    with Progress("off") as progress:
        arrays = study.analyze({}, jax.random.key(0), weights=colour, progress=progress, **options)
        with pytest.raises(ValueError, match="different channels: colour 3, grey 1"):
            study.analyze({}, jax.random.key(0), weights=f"{colour}+{grey}", progress=progress, **options)
    assert arrays["shape"].tolist() == [6, 6, 3]
    assert np.isfinite(arrays["colour/mse"]).all()
    assert "colour: |J|^2 / tr J" in {check.name for check in study.check(arrays, standard_errors=4.0)}
    figure = study.draw(arrays)
    figure.canvas.draw()
    plt.close(figure)


def test_the_config_trains_a_network_only_where_no_weights_are_given():
    assert list(config("scale=smoke").runs) == ["alpha3"]
    assert len(config("scale=laptop,weights=a.npz+b.npz").runs) == 0
    with pytest.raises(ValueError, match="size must be a positive"):
        config("weights=a.npz,size=0")
