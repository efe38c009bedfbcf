"""Training on images of a file."""

import json

import jax
import numpy as np
import pytest
from test_pipeline import StopAfter, make_config

from gahr import experiment
from gahr.experiment.progress import Interrupted


def file_config(file, **data):
    config = make_config()
    config.unlock()
    defaults = dict(name="file", path=str(file), size=16, subset="a", set_size=20, num_test=10, split="random")
    config.runs.alpha3.data = defaults | data
    return config


@pytest.fixture
def small_set(tmp_path):
    """A bare .npy of 60 images of 16 x 16."""
    np.save(tmp_path / "faces.npy", np.random.default_rng(6).integers(0, 256, (60, 16, 16), dtype=np.uint8))
    return tmp_path / "faces.npy"


def test_training_on_a_file_resumes_with_it_alone(small_set, tmp_path):
    config = file_config(small_set)
    with pytest.raises(Interrupted):
        experiment.train(config, tmp_path / "run", progress=StopAfter(1))
    whole = np.load(small_set)
    changed = whole.copy()
    changed[50, 3, 3] ^= 1
    np.save(small_set, changed)
    with pytest.raises(ValueError, match=r"data\.digest was faces\.npy sha256:\w+, is faces\.npy sha256:"):
        experiment.train(config, tmp_path / "run")
    np.save(small_set, whole)
    experiment.train(config, tmp_path / "run")
    experiment.train(config, tmp_path / "uninterrupted")
    weights = "alpha3/denoiser.safetensors"
    assert (tmp_path / "run" / weights).read_bytes() == (tmp_path / "uninterrupted" / weights).read_bytes()
    record = json.loads((tmp_path / "run" / "alpha3" / "metrics.jsonl").read_text().splitlines()[-1])
    assert np.isfinite([record["train_psnr"], record["test_psnr"]]).all()
    small_set.unlink()
    noisy = jax.random.normal(jax.random.key(0), (16, 16, 1))
    exported = experiment.load_denoiser(tmp_path / "run")(noisy)
    np.testing.assert_array_equal(exported, experiment.load_denoiser(tmp_path / "run", step=20)(noisy))
