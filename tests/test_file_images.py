"""Training on images of a file: what each subset holds, and what is refused."""

import json

import jax
import numpy as np
import pytest
from test_pipeline import StopAfter, make_config

from gahr import experiment
from gahr.experiment.build import build, new_state, train_step_of
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


def test_images_of_a_file_are_scaled_split_and_resized(small_set):
    pixels = np.load(small_set)[..., None] / np.float32(255)
    parts = build(file_config(small_set, split="order"), "alpha3")
    assert parts.sizes == {"a": 25, "b": 25, "test": 10}
    index = np.arange(25)
    for subset, size, expected in (
        ("test", 10, pixels[index % 10]),
        ("a", 25, pixels[10:35]),
        ("b", 25, pixels[:34:-1]),
        ("b", 1, np.repeat(pixels[-1:], 25, 0)),
    ):
        np.testing.assert_allclose(parts.images(index, subset=subset, set_size=size), expected, atol=1e-7)
    half = build(file_config(small_set, split="order", size=8), "alpha3")
    blocks = pixels.reshape(60, 8, 2, 8, 2, 1).mean((2, 4))
    assert half.image_shape == (8, 8, 1)
    assert np.abs(half.images(index, subset="a", set_size=25) - blocks[10:35]).max() < 0.51 / 255


def test_the_images_are_no_part_of_the_compiled_step(small_set):
    parts = build(file_config(small_set), "alpha3")
    step = jax.jit(lambda step, state, key: step(state, key))
    text = step.lower(train_step_of(parts), new_state(parts), parts.key).as_text()
    assert "tensor<60x16x16x1xui8>" in text
    constants = [line for line in text.splitlines() if "constant" in line]
    assert not [line for line in constants if "60x16x16" in line]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (dict(set_size=26), r"set_size must be between 1 and 25 in subset a, got 26"),
        (dict(subset="c"), r"subset must be one of a, b, test, got 'c'"),
        (dict(num_test=59), r"num_test must be from 1 to 58, got 59"),
        (dict(num_test=0), r"data\.num_test must be a whole number from 1, got 0"),
        (dict(split="groups"), r"unknown data\.split 'groups'; did you mean group"),
        (dict(split="group"), r"faces\.npy holds no groups; it can be random or order"),
        (dict(size=32), r"data\.size 32 needs square images at least as large, but .*faces\.npy holds 16x16"),
        (dict(channels=3), r"data\.channels is 3, but the images of .*faces\.npy have 1"),
        (dict(path="absent.npy"), r"there is no file absent\.npy"),
        (dict(pathh="x"), r"unknown field data\.pathh; did you mean path"),
        (dict(digest="x"), r"faces\.npy is not the file of the config"),
    ],
)
def test_a_data_section_that_does_not_fit_is_named(small_set, tmp_path, fields, message):
    with pytest.raises(ValueError, match=f"run alpha3: .*{message}"):
        experiment.train(file_config(small_set, **fields), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_people_are_in_one_subset_only(tmp_path):
    pixels = np.random.default_rng(7).integers(0, 256, (59, 16, 16), dtype=np.uint8)
    groups = np.arange(59) % 12
    np.savez(tmp_path / "set.npz", images=pixels, groups=groups)
    parts = build(file_config(tmp_path / "set.npz", split="group"), "alpha3")
    person = {image.tobytes(): label for image, label in zip(pixels, groups, strict=True)}
    seen = []
    for subset, size in parts.sizes.items():
        images = np.asarray(parts.images(np.arange(size), subset=subset, set_size=size))
        seen.append({person[np.rint(255 * image).astype(np.uint8).tobytes()] for image in images})
    assert sum(map(len, seen)) == len(set.union(*seen)) == 12
    assert parts.sizes["test"] in (9, 10)  # two people, of five images or four
    assert abs(parts.sizes["a"] - parts.sizes["b"]) <= 5
