"""The study lambertian: shares of known size, files of subjects, and its marks."""

import jax
import numpy as np
import pytest
from conftest import get_config, met

from gahr import experiment
from gahr.experiment.progress import Progress
from gahr.studies import lambertian

MARKS = dict(nine_within=0.01, nine_of_ball=0.98)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """Two subjects of 30 images each: three and one dimensions."""
    path = tmp_path_factory.mktemp("file") / "subjects.npz"
    rng = np.random.default_rng(0)
    images = [rng.uniform(0, 80, size=(30, n)) @ rng.uniform(size=(n, 35)) for n in (3, 1)]
    np.savez(path, images=np.rint(np.concatenate(images)).reshape(60, 7, 5), subject=np.repeat([4, 9], 30))
    return str(path)


@pytest.fixture(scope="module")
def arrays(file):
    return lambertian.analyze(size=16, num_lights=40, path=file)({}, jax.random.key(0), progress=Progress())


def test_shares_are_those_of_theory_and_of_the_files_subjects(arrays):
    np.testing.assert_allclose(arrays["all normals/nine"], 0.9922, atol=2e-3)
    np.testing.assert_allclose(arrays["all normals/four"], 0.875, atol=2e-3)
    assert arrays["file/held"].shape == (2, 25)
    assert arrays["file/held"][0, 2] > 0.999 > arrays["file/held"][0, 0]
    assert arrays["file/held"][1, 0] > 0.999
    assert arrays["ball/held"][8] >= arrays["ball/nine"].min()
    assert arrays["ball/null"].mean() < arrays["ball/nine"].mean()


def test_marks_are_met_by_nine_dimensions_and_missed_by_four(arrays):
    assert met(lambertian.check(arrays, **MARKS)) == [True, True]
    four = {f"{name}/nine": arrays[f"{name}/four"] for name in ("all normals", "ball")}
    assert met(lambertian.check(arrays | four, **MARKS)) == [False, False]


def test_the_config_is_drawn_at_smoke_scale(file, tmp_path):
    config = get_config(f"scale=smoke,path={file}", file="lambertian")
    experiment.train(config, tmp_path)
    experiment.study(config, tmp_path)
    assert (tmp_path / "figures" / "lambertian.png").exists()


def test_what_cannot_be_meant_is_refused(file, tmp_path):
    with pytest.raises(ValueError, match="num_lights must be at least 25"):
        lambertian.analyze(num_lights=9)
    few = tmp_path / "few.npz"
    np.savez(few, images=np.zeros((9, 7, 5)), subject=np.zeros(9))
    with pytest.raises(ValueError, match=r"the number of images of subject 0\.0 must be at least 25"):
        lambertian.analyze(path=str(few))({}, jax.random.key(0), progress=Progress())
