"""The command that draws images: what it draws, what it writes, how it goes on, and what it says of bad requests."""

import functools
import json

import jax
import numpy as np
import pytest
from conftest import Told, get_config
from PIL import Image
from safetensors.numpy import save_file

from gahr import metrics, models
from gahr.denoiser import bind, bind_told
from gahr.experiment import build, choice, pictures, sampling, source
from gahr.experiment.progress import Progress
from gahr.models import published
from gahr.models.stored import export_arrays
from gahr.sampling import blind, driver, heun, inverse, measurements, schedules


class Stop(Exception):
    pass


class Stopping(Progress):
    """Progress that stops at the beginning of the second part."""

    def update(self, task, done, total, *, note=""):
        if done * 2 > total:
            raise Stop


@pytest.fixture(scope="module")
def weights(trained, tmp_path_factory):
    """A file of the trained network, as `launch/ship.py` makes it."""
    model, variables = trained
    file = tmp_path_factory.mktemp("weights") / "net.safetensors"
    run = get_config().runs.alpha3.to_dict() | dict(model=build.section_of(model))
    file.write_bytes(export_arrays(variables, {"model": run["model"]}))
    file.with_suffix(".json").write_text(json.dumps({"run": run, "seed": 0}))
    return file


def test_samples_are_those_of_the_driver_with_the_law_of_the_training_images(weights, trained, launch, tmp_path):
    options = ["--sampler=heun", "--schedule=linear", "--set=num_levels=4", "--set=zero=true", "--fit=50"]
    done = launch("sample", weights, tmp_path / "out.npz", *options, "--number=3", "--seed=5")
    assert done.returncode == 0, done.stderr
    assert "3 images 16x16 by heun linear" in done.stdout
    found = np.load(tmp_path / "out.npz")
    run = get_config().runs.alpha3
    dataset = build.build(run.to_dict(), "alpha3", seed=0).dataset
    images = dataset.take(np.arange(50), subset="a", set_size=np.int32(64))
    mean = images.mean(0)
    levels = schedules.linear(sigma_max=1.0, num_levels=4, zero=True)  # 1, where training ended
    sampler = heun.sampler(sigmas=levels, mean=mean, factor=(images - mean[None]) / 50**0.5)
    expected, _ = driver.sample(sampler, bind_told(*trained), jax.random.key(5), (3, 16, 16, 1))
    np.testing.assert_allclose(found["images"], expected, atol=1e-4)
    assert found["steps"].tolist() == [4] * 3


def test_the_blind_sampler_is_the_default_and_starts_as_published(weights, trained, launch, tmp_path):
    options = ["--set=growing=true", "--set=beta=0.5", "--number=2"]
    for name, more in {"clean": [], "noisy": ["--nodenoise"]}.items():
        done = launch("sample", weights, tmp_path / f"{name}.npz", *options, *more, "--size=8")
        assert done.returncode == 0, done.stderr
        how = dict(growing=True, beta=0.5, final_denoise=not more)
        expected, trace = blind.ascend(bind(*trained), jax.random.key(0), (2, 8, 8, 1), **how)
        found = np.load(tmp_path / f"{name}.npz")
        np.testing.assert_allclose(found["images"], expected, atol=1e-4)
        np.testing.assert_array_equal(found["steps"], trace.steps)


def test_what_was_interrupted_goes_on_to_the_same_images_bit_for_bit(weights, tmp_path):
    net = source.source_of(str(weights))
    chosen = choice.choose(net, name="euler", given=["sigmas=1,0.5,0.2,0"])
    draw = lambda out, progress, **options: sampling.draw(
        net, chosen, tmp_path / out, **dict(number=5, shape=(16, 16, 1), chunk=3) | options, progress=progress
    )
    whole = draw("whole", Progress())
    with pytest.raises(Stop):
        draw("parts", Stopping())
    kept = tmp_path / "parts.parts" / "00000.npz"
    made = kept.stat().st_mtime_ns
    again = draw("parts", Progress())
    assert kept.stat().st_mtime_ns == made
    np.testing.assert_array_equal(again.images, whole.images)
    np.testing.assert_allclose(draw("other", Progress(), number=4, chunk=9).images, whole.images[:4], atol=1e-5)
    other = draw("parts", Progress(), seed=1)  # parts of another seed do not count
    assert np.abs(other.images - whole.images).max() > 0.1
    sampling.finish(tmp_path / "parts")
    assert not kept.parent.exists()


def test_pictures_hold_the_images_and_the_animation_the_path(weights, launch, tmp_path):
    options = ["--sampler=euler", "--set=sigmas=1,0.5,0.2,0", "--number=3", "--fit=0"]
    moving = [f"--animate={tmp_path}/path.gif"]
    for out, more in {"arrays.npz": [], "grid.png": moving, "folder": []}.items():
        done = launch("sample", weights, tmp_path / out, *options, *more)
        assert done.returncode == 0, done.stderr
    images = np.load(tmp_path / "arrays.npz")["images"]
    pixels = np.round(255 * np.clip(images[..., 0], 0, 1))
    sheet = np.asarray(Image.open(tmp_path / "grid.png"))
    assert sheet.shape == (34, 34)
    np.testing.assert_allclose(sheet[18:, :16], pixels[2], atol=1)
    assert np.all(sheet[18:, 18:] == 255)  # there are only three
    for i in range(3):
        np.testing.assert_allclose(np.asarray(Image.open(tmp_path / "folder" / f"{i}.png")), pixels[i], atol=1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["arrays.npz", "folder", "grid.png", "path.gif"]
    with Image.open(tmp_path / "path.gif") as animation:
        assert animation.n_frames == 4  # after 0 to 3 steps; the end, which is the same as the last of these, stays
        animation.seek(3)
        assert animation.info["duration"] == 16 * 80
        assert animation.size == (34 + 34 + 6, 34)
        np.testing.assert_allclose(np.asarray(animation.convert("L"))[:16, :16], pixels[0], atol=8)  # 256 colours


def test_a_kill_between_animation_and_output_is_no_reason_to_refuse(weights, tmp_path, monkeypatch):
    """The animation of the killed call stood in the way of the same command."""
    out, animation = tmp_path / "out", tmp_path / "path.gif"
    how = dict(number=1, sampler="euler", given=["sigmas=1,0.2,0"], fit=0, animation=str(animation))
    draw = lambda: sampling.draw_to(str(weights), out, **how, progress=Progress())
    with monkeypatch.context() as killed:
        killed.setattr(pictures, "picture", _stop_in(out, pictures.picture))
        with pytest.raises(Stop):
            draw()
    assert animation.exists()
    assert not out.exists()
    draw()
    assert [file.name for file in out.iterdir()] == ["0.png"]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["out", "path.gif"]
    with pytest.raises(ValueError, match=r"out exists; give another name"):
        draw()
    out.rename(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match=r"path.gif exists; give another name"):  # finished, so it is kept
        draw()


def _stop_in(out, picture):
    """Makes pictures until the folder of them is begun."""

    def make(image):
        if out.with_name(f"{out.name}.partial").exists():
            raise Stop
        return picture(image)

    return make


def test_frames_after_a_stop_show_the_sample(tmp_path):
    frames, last = np.full((3, 2, 4, 4, 1), np.nan), np.full((2, 4, 4, 1), 0.6)
    frames[0], frames[1, 0] = 0.2, 0.4
    pictures.animate(tmp_path / "path.apng", frames, frames, last)
    seen = []
    with Image.open(tmp_path / "path.apng") as animation:
        for i in range(animation.n_frames):
            animation.seek(i)
            seen.append([int(np.asarray(animation.convert("L"))[0, column]) for column in (0, 6, 16, 22)])
    assert seen[0] == [51] * 4
    assert seen[1] == [102, 153] * 2
    assert seen[-1] == [153] * 4


def test_a_restored_image_is_that_of_solve_with_what_was_measured(weights, trained, launch, tmp_path):
    image = np.round(255 * np.linspace(0, 1, 256).reshape(16, 16)).astype(np.uint8)
    Image.fromarray(image).save(tmp_path / "image.png")
    options = [f"--image={tmp_path}/image.png", "--measurement=hole", "--set=side=6", "--set=centre=4,9"]
    options += ["--set=beta=0.5", "--set=sigma_stop=0.1", "--number=2"]
    for out in ("out.npz", "out.png"):
        done = launch("sample", weights, tmp_path / out, *options)
        assert done.returncode == 0, done.stderr
    found = np.load(tmp_path / "out.npz")
    measurement = measurements.hole((16, 16, 1), side=6, centre=(4, 9))
    observed = measurement.measure(np.stack([image[..., None] / np.float32(255)] * 2))
    key, how = jax.random.key(0), dict(beta=0.5, sigma_stop=0.1)
    expected, trace = jax.jit(functools.partial(inverse.solve, bind(*trained), **how))(key, measurement, observed)
    np.testing.assert_allclose(found["images"], expected, atol=1e-4)
    np.testing.assert_array_equal(found["steps"], trace.steps)
    np.testing.assert_array_equal(np.round(255 * found["clean"][..., 0]), image)
    assert np.all(found["pseudo_inverse"][1:7, 6:12] == 0)
    assert np.abs(found["images"][:, 0] - found["clean"][0]).max() < 1e-5  # as measured
    first = float(metrics.psnr(found["clean"], found["pseudo_inverse"]))
    assert f"PSNR in dB: pseudo-inverse {first:.2f}, one sample" in done.stdout
    assert np.array_equal(np.asarray(Image.open(tmp_path / "out.png"))[:16, :16], image)


def test_networks_that_are_told_have_every_sampler_but_the_blind(monkeypatch):
    monkeypatch.setitem(models.MODELS, "told", Told)
    told = source.Source(Told(), {"params": {"variance": np.float32(1)}}, None, 0)
    assert choice.choose(told, given=["sigma_max=1"]).name == "heun"
    with pytest.raises(ValueError, match="the sampler heun needs --set=sigma_max=VALUE"):  # trained we know not how
        choice.choose(told)
    with pytest.raises(ValueError, match="for networks that were trained with the objective consistency"):
        choice.choose(told, name="consistency", given=["sigma_max=1"])
    with pytest.raises(ValueError, match="blind is for networks that are not told sigma"):
        choice.choose(told, name="blind")
    with pytest.raises(ValueError, match="sigmas must fall, got 2 after 1"):
        choice.choose(told, name="euler", given=["sigmas=1,2"])


def test_all_diverging_is_an_error_that_says_where(weights, tmp_path):
    net = source.source_of(str(weights))
    gains = jax.tree.map(lambda leaf: 30 * leaf, net.variables)
    chosen = choice.choose(net, given=["sigma_start=1"])
    with pytest.raises(ValueError, match="all samples diverged, the first at step"):
        sampling.draw(
            net._replace(variables=gains), chosen, tmp_path / "x", number=2, shape=(8, 8, 1), progress=Progress()
        )


def test_bad_requests_are_one_clear_line_before_any_work(weights, trained, unclear, tmp_path):
    foreign = tmp_path / "foreign.safetensors"
    save_file(published.export(*trained), foreign)
    (tmp_path / "old.png").touch()
    out = str(tmp_path / "new.png")
    cases = {
        (): "a network and an output are needed",
        (weights, tmp_path / "old.png"): "old.png exists",
        (weights, tmp_path / "out.jpg"): "output must be NAME.png for a grid",
        (weights, out, "--animate=x.avi"): "animation must be NAME.gif",
        ("missing", out): "missing is no run directory, file of weights or shipped network",
        (weights, out, "--run=a"): "--run is for run directories",
        (weights, out, "--sampler=hein"): "unknown sampler 'hein'; did you mean heun?",
        (weights, out, "--sampler=heun", "--schedule=karas"): "unknown schedule 'karas'; did you mean karras?",
        (weights, out, "--schedule=karras"): "--schedule has no use, since the sampler blind goes through no levels",
        (weights, out, "--set=betta=1"): "unknown option 'betta'; did you mean beta?",
        (weights, out, "--sampler=heun", "--set=num_level=4"): "did you mean num_levels?",
        (weights, out, "--sampler=heun", "--set=num_levels=four"): "num_levels must be a whole number, got 'four'",
        (weights, out, "--set=beta"): "--set must be OPTION=VALUE",
        (weights, out, "--set=beta=1", "--set=beta=0.5"): "beta is given twice",
        (weights, out, "--set=beta=2"): "beta must be above 0 and at most 1",
        (weights, out, "--sampler=langevin"): "the sampler langevin needs --set=sigma=VALUE",
        (weights, out, "--size=10"): "10",
        (weights, out, "--image=missing.png"): "--image and --measurement belong together",
        (weights, out, "--image=missing.png", "--measurement=low_pass"): "missing.png cannot be read as an image",
        (weights, out, "--image=missing.png", "--measurement=hole"): "the measurement hole needs --set=side=VALUE",
        (
            weights,
            out,
            "--image=x.png",
            "--measurement=lowpass",
        ): "unknown measurement 'lowpass'; did you mean low_pass?",
        (weights, out, "--sigma_observed=0.1"): "--sigma_observed belongs to --image",
        (foreign, out): "--size is needed",
        (foreign, out, "--size=16", "--fit=10"): "--fit needs training images",
    }
    assert not (found := unclear("sample", cases)), found
    assert not list(tmp_path.glob("*.parts"))
