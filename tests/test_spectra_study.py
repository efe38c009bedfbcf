"""The study spectra: slopes of known fields, a file whose categories are known, and its marks."""

import jax
import numpy as np
import pytest
from conftest import get_config, met

from gahr import experiment
from gahr.classical import spectra as formulas
from gahr.experiment.progress import Progress
from gahr.studies import spectra

MARKS = dict(slope_within=0.3, contour_within=0.3, amplitude_above=-1.75, between_categories=0.2)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """20 fields of power f^-2 as they are, and 20 that vary more from row to row; the third category has none."""
    path = tmp_path_factory.mktemp("file") / "scenes.npz"
    keys = jax.random.split(jax.random.key(5), 40)
    fields = np.array(jax.jit(jax.vmap(lambda key: formulas.field(key, size=32, slope=-2.0)))(keys))[..., 0]
    fields[20:] += 2 * fields[20:].mean(2, keepdims=True)
    images = np.clip(128 + 20 * fields, 0, 255).astype(np.uint8)
    np.savez(path, images=images, label=np.repeat([0, 2], 20), label_names=np.array(["open", "none", "horizon"]))
    return str(path)


@pytest.fixture(scope="module")
def arrays(file):
    options = dict(size=32, num_images=40, slopes=(-1.0, -2.0), alphas=(3.0,), path=file)
    return spectra.analyze(**options)({}, jax.random.key(0), progress=Progress())


def test_slopes_of_amplitude_are_half_those_of_power(arrays):
    for slope in (-1, -2):
        assert arrays[f"field f^{slope}/slope"][0] == pytest.approx(slope, abs=0.25)
        assert arrays[f"field f^{slope}/amplitude"][0] == pytest.approx(slope / 2, abs=0.15)
    assert list(arrays["names"]) == ["field f^-1", "field f^-2", "field f^-4", "C^3 images", "file"]
    assert arrays["C^3 images/each"].shape == (40,)


def test_categories_keep_their_names_and_directions(arrays):
    assert list(arrays["categories"]) == ["open", "horizon"]
    even, leaning = (arrays["leaning"][arrays["labels"] == i] for i in (0, 1))
    assert leaning.mean() > 2  # more power where frequencies are across rows, of horizontal contours
    assert abs(even.mean()) < 3 * even.std() / len(even) ** 0.5 < leaning.mean()
    amplitudes = arrays["horizon/log_amplitude"]
    assert amplitudes[2] > amplitudes[0] + 1


def test_the_share_between_categories():
    values, labels = np.array([1.0, 1.0, 3.0, 3.0]), np.array([0, 0, 1, 1])
    assert spectra.share_between(values, labels) == pytest.approx(1)
    assert spectra.share_between(values, labels[[0, 2, 1, 3]]) == pytest.approx(0)


def test_the_slope_of_a_contour_is_that_of_images_of_one():
    """A step at a random height has power f^-2 at frequencies on one axis, f^-3 in the mean over rings."""
    heights = np.random.default_rng(1).uniform(0.2, 0.8, size=(400, 1, 1))
    steps = (np.indices((64, 64))[None, 0] > 64 * heights).astype(np.float32)
    steps = (steps + np.roll(steps, 1, 1)) / 2
    found = formulas.fit_slope(formulas.radial(formulas.power(jax.numpy.asarray(steps[..., None]))))
    assert float(found.slope) == pytest.approx(spectra._of_contour(32), abs=0.1)


def test_marks_are_met_by_images_and_missed_by_what_the_claim_has(arrays):
    assert met(spectra.check(arrays, **MARKS)) == [True, True, True, True]
    assert all(check.finding for check in spectra.check(arrays, **MARKS) if check.met is not None)
    steep = {"file/amplitude": arrays["field f^-4/amplitude"], "C^3 images/slope": arrays["field f^-4/slope"]}
    halves = {f"field f^{slope}/slope": arrays[f"field f^{slope}/amplitude"] for slope in (-1, -2)}
    shuffled = {"labels": np.random.default_rng(0).permutation(arrays["labels"])}
    assert met(spectra.check(arrays | steep | halves | shuffled, **MARKS)) == [False] * 4


def test_the_config_is_drawn_at_smoke_scale(file, tmp_path):
    config = get_config(f"scale=smoke,alpha=2,path={file}", file="spectra")
    experiment.train(config, tmp_path)
    experiment.study(config, tmp_path)
    assert (tmp_path / "figures" / "spectra.png").exists()


def test_what_cannot_be_meant_is_refused():
    for options, message in (
        (dict(slopes=(2.0,)), "slopes must be negative"),
        (dict(num_images=1), "num_images must be at least 2"),
        (dict(path="nowhere.npz"), "path: there is no file nowhere.npz"),
    ):
        with pytest.raises(ValueError, match=message):
            spectra.analyze(**options)
