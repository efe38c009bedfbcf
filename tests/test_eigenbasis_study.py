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
from gahr.experiment.gallery import collect
from gahr.experiment.progress import Progress
from gahr.models import published
from gahr.models.bfcnn import BFCNN
from gahr.models.layers import initialize
from gahr.studies.eigenbasis import STUDY
from gahr.studies.shared.study import Run


def band_pass(noisy, sigma):
    """Symmetric, linear: keeps frequencies below 1/4 and halves the others."""
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(12), np.fft.fftfreq(12), indexing="ij"))
    gains = jnp.broadcast_to(jnp.where(frequency < 0.25, 1.0, 0.2 - 0.2 * frequency)[..., None], noisy.shape)
    return jnp.real(jnp.fft.ifft2(gains * jnp.fft.fft2(noisy, axes=(-3, -2)), axes=(-3, -2)))


def test_a_fourier_denoiser_is_found_to_be_one():
    rows = np.arange(12)[:, None, None] * np.ones((3, 12, 12, 1)) + np.arange(3)[:, None, None, None]
    clean = jnp.asarray(0.5 + 0.4 * np.sin(2 * np.pi * rows / 12), jnp.float32)
    images = {"test": clean, "a": clean[1:]}
    runs = {"filter": Run(None, Partial(band_pass), lambda subset, number: images[subset][:number], {})}
    arrays = STUDY.analyze(sigma=0.1)(runs, jax.random.key(0), progress=Progress())
    get = lambda quantity: arrays[f"network/{quantity}"]
    assert get("asymmetry").max() < 1e-5
    cosine = np.sum(get("left_shown") * get("right_shown"), (-3, -2, -1))  # alike, as it is symmetric
    np.testing.assert_allclose(cosine[get("singular_values")[:, arrays["shown"]] > 0.1], 1, atol=1e-4)
    np.testing.assert_array_equal(get("clean"), clean[0])
    np.testing.assert_allclose(get("shrinkage"), get("singular_values"), atol=1e-5)
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(12), np.fft.fftfreq(12)))
    checks = {check.name: check for check in STUDY.check(arrays, swapped=1.5, contours=0.95)}
    assert checks["|J y - D(y)| / |D(y)|"].value < 1e-5
    for title in ("eigenvectors", "left singular vectors"):
        assert checks[f"{title} above 1/2"].value == np.sum(frequency < 0.25)
        assert checks[f"share of |x|^2 in these {title}"].value == pytest.approx(1, abs=1e-4)
    verdicts = {name: check.met for name, check in checks.items() if check.met is not None}
    assert verdicts == {
        "dimension in another's / own left singular vectors": False,
        "energy on another's / own contours, left singular vectors": False,
    }
    assert set(checks["orientation, 10 leading eigenvectors"].nulls) == {
        "linear",
        "3x3 filter",
        "identity",
        "memorizer",
    }
    # it keeps all below 1/4 alike, and what it halves has 0.2 (1 - frequency): the order is that of the kept ones
    assert checks["rank correlation of frequency and number, these eigenvectors"].value < 0.9


@pytest.mark.parametrize(("size", "who"), [(8, {"linear", "3x3 filter", "identity"}), (6, set())])
def test_an_image_as_large_as_those_of_training_has_their_nulls_beside(tmp_path, size, who):
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (8, 8), np.uint8)).save(tmp_path / "image.png")
    trained = jnp.asarray(rng.random((3, 8, 8, 1)), jnp.float32)
    half = Partial(lambda noisy, sigma: noisy / 2)
    runs = {"half": Run(None, half, lambda subset, number: trained[:number], {})}
    options = dict(image=str(tmp_path / "image.png"), size=size, num_bases=2, num_memorized=0)
    arrays = STUDY.analyze(**options)(runs, jax.random.key(0), progress=Progress())
    np.testing.assert_array_equal(arrays["network/clean"], files.read_image(tmp_path / "image.png", size=size))
    assert {name.split("/")[2] for name in arrays if name.startswith("network/nulls/")} == who
    assert ("network/fixed/PCA" in arrays) == bool(who)


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
    assert np.isfinite([check.value for check in checks]).all()
    assert not any(check.nulls for check in checks)  # of what others trained nothing is known
    assert (tmp_path / "run" / "figures" / "eigenbasis.pdf").stat().st_size > 10_000
    with np.load(tmp_path / "run" / "study.npz") as arrays:
        np.testing.assert_array_equal(arrays["network/clean"], files.read_image(image, size=8, channels=3))
        assert arrays["network/shrinkage"].shape == (4, 8 * 8 * 3)  # its quarter turns
    (basis,) = collect.read(tmp_path / "run").bases  # catches arrays that the viewer of a page does not know
    assert (basis.name, len(basis.at), set(basis.at[3].vectors)) == ("colour", 4, {"left", "right", "eigen"})


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
