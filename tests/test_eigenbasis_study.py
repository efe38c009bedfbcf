"""The eigenbasis study on denoisers whose basis is known, and its command for published weights and image files."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import get_config
from jax.tree_util import Partial
from PIL import Image
from safetensors.numpy import save_file

from gahr import experiment
from gahr.data import files
from gahr.experiment.progress import Progress
from gahr.models import published
from gahr.models.bfcnn import BFCNN
from gahr.models.layers import initialize
from gahr.studies.eigenbasis import STUDY
from gahr.studies.shared.study import Run


def band_pass(noisy, sigma):
    """Symmetric, linear: keeps frequencies below 1/4 and halves the others."""
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(12), np.fft.fftfreq(12), indexing="ij"))
    gains = jnp.where(frequency < 0.25, 1.0, 0.2 - 0.2 * frequency)
    return jnp.real(jnp.fft.ifft2(gains[..., None] * jnp.fft.fft2(noisy, axes=(-3, -2)), axes=(-3, -2)))


def test_a_fourier_denoiser_is_found_to_be_one():
    rows = jnp.arange(12)[:, None, None] * jnp.ones((12, 12, 1))
    clean = 0.5 + 0.4 * jnp.sin(2 * jnp.pi * rows / 12)
    images = {"test": clean[None]}  # a training image would be a KeyError
    runs = {"filter": Run(None, Partial(band_pass), lambda subset, number: images[subset][:number], {})}
    arrays = STUDY.analyze(sigma=0.1)(runs, jax.random.key(0), progress=Progress())
    assert arrays["asymmetry"] < 1e-5
    assert arrays["linearity_error"] < 1e-5
    np.testing.assert_allclose(arrays["shrinkage"], arrays["singular_values"], atol=1e-5)
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(12), np.fft.fftfreq(12)))
    assert arrays["eigen/kept"] == np.sum(frequency < 0.25)
    assert arrays["eigen/preserved"] == pytest.approx(1, abs=1e-4)
    checks = {check.name: check for check in STUDY.check(arrays, preserved_energy=0.95, harmonicity=2.0)}
    kept = int(arrays["eigen/kept"])
    assert checks[f"share of |x|^2 in the {kept} eigenvectors above 1/2"].met is True
    assert checks["rank correlation of frequency and number, eigenvectors above 1/2"].met is False


def test_published_weights_of_a_colour_network_and_image_files(tmp_path):
    model = BFCNN(features=4, num_layers=3)
    weights = tmp_path / "colour.safetensors"
    save_file(published.export(model, initialize(model, jax.random.key(0), (8, 8, 3))), weights)
    image = tmp_path / "image.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 30, 3), np.uint8)).save(image)
    made = get_config(f"weights={weights},image={image},size=8", file="eigenbasis")
    assert list(made.runs) == []
    experiment.train(made, tmp_path / "run")  # nothing
    checks = experiment.study(made, tmp_path / "run")
    assert len(checks) == 16
    assert np.isfinite([check.value for check in checks]).all()
    assert (tmp_path / "run" / "figures" / "eigenbasis.pdf").stat().st_size > 10_000
    with np.load(tmp_path / "run" / "study.npz") as arrays:
        np.testing.assert_array_equal(arrays["clean"], files.read_image(image, size=8, channels=3))
        assert arrays["shrinkage"].shape == (8 * 8 * 3,)


def test_an_image_file_is_cropped_to_the_middle_and_averaged_over_channels(tmp_path):
    pixels = np.zeros((20, 30, 3), np.uint8)
    pixels[:, 5:25] = [30, 60, 90]
    Image.fromarray(pixels).save(tmp_path / "image.png")
    found = files.read_image(tmp_path / "image.png", size=10)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, np.full((10, 10, 1), 60 / 255), atol=1e-6)
    with pytest.raises(ValueError, match="20 pixels is below the size 21"):
        files.read_image(tmp_path / "image.png", size=21)
    assert files.read_image(tmp_path / "image.png", channels=3).shape == (20, 30, 3)
    (tmp_path / "text.png").write_text("no image")
    with pytest.raises(ValueError, match=r"text\.png"):
        files.read_image(tmp_path / "text.png")
    with pytest.raises(ValueError, match="channels"):
        files.read_image(tmp_path / "image.png", channels=2)
    Image.fromarray(np.linspace(0, 65_535, 64).astype(np.uint16).reshape(8, 8)).save(tmp_path / "deep.png")
    with pytest.raises(ValueError, match=r"deep\.png .* more than 8 bits"):  # Pillow would clip it to white
        files.read_image(tmp_path / "deep.png")
