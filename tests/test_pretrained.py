"""Networks that come with gahr: made of a run directory, loaded by name, and as good as their JSON says."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import get_config
from safetensors.numpy import load_file

import gahr
from gahr import experiment, pretrained
from gahr.analysis import performance
from gahr.denoiser import at, bind
from gahr.experiment import build, planning, storage
from gahr.experiment.ship import ship
from gahr.models.stored import export_arrays, import_arrays


def finished_run(workdir, variables, **data):
    """A run directory whose run alpha3 has these variables of the fixture `trained`."""
    config = get_config("scale=smoke")
    config.runs.alpha3.model.num_blocks = 2
    config = planning.plan(config, workdir).config
    run = config["runs"]["alpha3"]
    run["data"] |= data
    storage.claim(workdir, config)
    (workdir / "alpha3").mkdir()
    weights = export_arrays(variables, {"model": run["model"]})
    (workdir / "alpha3" / "denoiser.safetensors").write_bytes(weights)
    return workdir


def measured_psnr(name):
    """Of a network on the images and noise that its JSON names, made anew; and what it says."""
    described = pretrained.describe(name)
    run, said = described["run"], described["psnr"]
    dataset = build.build(run, "run", seed=described["seed"]).dataset
    clean = dataset.take(jnp.arange(said["images"]), subset="test", set_size=dataset.sizes["test"])
    curve = jax.jit(performance.psnr_curve)
    sigmas = jnp.array(said["sigmas"])
    denoiser = at(gahr.load(name), sigmas) if described.get("told") else gahr.load(name)
    found = curve(denoiser, jax.random.key(said["key"]), clean, sigmas=sigmas)
    return found.psnr.mean(0), said["test"]


@pytest.fixture(scope="module")
def made(trained, tmp_path_factory):
    folder = tmp_path_factory.mktemp("networks")
    ship(finished_run(folder / "run", trained[1]), folder, run="alpha3")
    return folder / "alpha3.safetensors"


@pytest.mark.parametrize("name", gahr.shipped())
def test_a_network_that_comes_with_gahr_is_what_its_json_says(name):
    assert pretrained.file_of(name).stat().st_size < 1_500_000
    _, description = import_arrays(pretrained.file_of(name))
    described = pretrained.describe(name)
    assert description["model"] == described["run"]["model"]
    assert description["step"] == described["run"]["optim"]["num_steps"]
    assert described["psnr"]["float16_loss"] < 0.005
    assert described["told"] if name.endswith(("teacher", "student")) else len(described["card"]) > 10
    np.testing.assert_allclose(*measured_psnr(name), atol=0.05)


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """A teacher and a consistency model, before training, shipped; the folder."""
    folder = tmp_path_factory.mktemp("told")
    config = planning.plan(get_config(file="consistency"), folder / "run").config
    storage.claim(folder / "run", config)
    for name in ("teacher", "student"):
        parts = build.build(config["runs"][name], name, seed=0)
        weights = export_arrays(build.initial_variables(parts), {"model": config["runs"][name]["model"]})
        (folder / "run" / name).mkdir()
        (folder / "run" / name / "denoiser.safetensors").write_bytes(weights)
        ship(folder / "run", folder, run=name, prefix="small_")
    return folder


def test_networks_told_sigma_are_shipped_and_take_the_place_of_a_training(pair, tmp_path):
    """Fails where a told network is bound as a blind one, or where the student's level is not that of its training."""
    names = [str(pair / f"small_{name}.safetensors") for name in ("teacher", "student")]
    assert pretrained.describe(names[1])["told"]
    noisy = jax.random.normal(jax.random.key(0), (1, 8, 8, 1))
    np.testing.assert_allclose(gahr.load(names[1])(noisy, jnp.float32(0.002)), noisy, atol=1e-6)
    np.testing.assert_allclose(*measured_psnr(names[0]), atol=0.01)
    config = get_config(f"scale=smoke,weights={'+'.join(names)}", file="consistency")
    assert config.study == get_config(file="consistency").study
    assert config.runs.student.objective.name == "consistency"
    planned = experiment.plan(config, tmp_path)
    assert not planned.trainings()
    assert list(planned.runs) == ["teacher", "student"]
    with pytest.raises(ValueError, match="a consistency model and its teacher are needed"):
        get_config(f"scale=smoke,weights={names[1]}", file="consistency")
    with pytest.raises(ValueError, match=r"small_teacher.* is told sigma; networks that are not are needed"):
        weights(names[0])
    with pytest.raises(ValueError, match="method= belongs to networks that are trained"):
        get_config(f"method=ict,weights={'+'.join(names)}", file="consistency")


def test_a_run_is_shipped_in_half_the_bytes_and_as_good(made, trained, noisy):
    assert {str(array.dtype) for array in load_file(made).values()} == {"float16", "float32"}
    assert {str(leaf.dtype) for leaf in jax.tree.leaves(gahr.load(str(made)))} == {"float32"}
    original = bind(*trained)(noisy)
    difference = gahr.load(str(made))(noisy) - original
    assert 0 < jnp.linalg.norm(difference) < 2e-3 * jnp.linalg.norm(original)
    np.testing.assert_allclose(*measured_psnr(str(made)), atol=0.01)
    assert json.loads(made.with_suffix(".json").read_text())["scale"] == "smoke"


def test_kernels_too_small_for_float16_stay_float32(trained, tmp_path):
    variables = jax.tree.map(jnp.copy, trained[1])
    for collection, layer, array in (
        ("params", "encoder0_1_conv", "kernel"),
        ("batch_stats", "encoder0_1_norm", "sd"),
    ):
        variables[collection][layer][array] *= 1e-9  # which cancel
    ship(finished_run(tmp_path / "run", variables), tmp_path, run="alpha3")
    assert {str(array.dtype) for array in load_file(tmp_path / "alpha3.safetensors").values()} == {"float32"}
    assert pretrained.describe(str(tmp_path / "alpha3.safetensors"))["psnr"]["float16_loss"] == 0


def test_what_cannot_be_shipped_is_refused(trained, tmp_path):
    workdir = finished_run(tmp_path / "run", trained[1])
    with pytest.raises(ValueError, match="did you mean alpha3"):
        ship(workdir, tmp_path, run="alpha4")
    of_file = finished_run(tmp_path / "file", trained[1], name="file")
    with pytest.raises(ValueError, match="run alpha3 was trained on a file"):
        ship(of_file, tmp_path, run="alpha3")


def test_an_unknown_name_is_refused_with_the_nearest(made, monkeypatch, tmp_path):
    monkeypatch.setattr(pretrained, "_FOLDER", made.parent)
    assert gahr.shipped() == ["alpha3"]
    assert pretrained.is_described("alpha3")
    for name in ("alpha4", "bf_cnn.npz"):
        assert not pretrained.is_described(name)
        with pytest.raises(ValueError, match=r"no shipped network '.*\(allowed: alpha3\)"):
            gahr.load(name)
    with pytest.raises(ValueError, match="did you mean alpha3"):
        gahr.load("alpa3")


def weights(made, file="calpha", **arguments):
    return get_config(
        ",".join(f"{n}={v}" for n, v in {"scale": "smoke", "weights": made, **arguments}.items()), file=file
    )


def test_a_run_of_given_weights_is_not_trained_and_has_their_network(made, noisy, tmp_path, launch):
    config = weights(made)
    (run,) = config.runs.values()
    assert run.data.to_dict() == pretrained.describe(str(made))["run"]["data"]
    done = launch(
        "main", "--config", f"configs/calpha.py:scale=smoke,weights={made}", "--workdir", tmp_path, "--dry_run"
    )
    assert "nothing to train" in done.stderr
    assert "not trained, the weights of" in done.stdout
    experiment.train(config, tmp_path)
    assert (tmp_path / "alpha3" / "denoiser.safetensors").read_bytes() == made.read_bytes()
    np.testing.assert_array_equal(experiment.load_denoiser(tmp_path)(noisy), gahr.load(str(made))(noisy))
    assert not (tmp_path / "alpha3" / "checkpoints").exists()


def test_other_weights_under_the_same_name_are_noticed(made, tmp_path):
    copy = tmp_path / "net.safetensors"
    for suffix in (".safetensors", ".json"):
        copy.with_suffix(suffix).write_bytes(made.with_suffix(suffix).read_bytes())
    experiment.train(weights(copy), tmp_path / "run")
    copy.write_bytes(export_arrays(jax.tree.map(lambda leaf: 2 * leaf, import_arrays(copy)[0]), import_arrays(copy)[1]))
    with pytest.raises(ValueError, match=r"runs\.net\.weights\.digest was \w+, is"):
        experiment.plan(weights(copy), tmp_path / "run")


def test_weights_that_do_not_fit_are_refused(made, tmp_path):
    for file, arguments, message in (
        ("disks", {}, r"alpha3\.safetensors is of calpha images; networks of disks are needed"),
        ("lowdim", {}, "is of calpha images; networks of ray or waves"),
        ("shuffled", {}, "one network of shuffled images is needed, not 0"),
        ("calpha", dict(seed=1), "are of seed=0, not 1"),
        ("calpha", dict(alpha=2), "alpha= belongs to networks that are trained"),
        ("calpha", dict(weights=f"{made}+{made}"), "two networks of the name alpha3"),
        ("calpha", dict(weights="calpa33"), "no shipped network 'calpa33'"),
        ("card", dict(weights=f"{made}+unet.npz"), r"unet\.npz is a published network, and others are not"),
        ("card", dict(size=16), "size= belongs to weights= of published networks"),
    ):
        with pytest.raises(ValueError, match=message):
            weights(made, file, **arguments)
    config = weights(made)
    config.runs.alpha3.model.features = 4
    with pytest.raises(ValueError, match=r"run alpha3: weights: .* is the network .*: 8.*, not .*'features': 4"):
        experiment.plan(config, tmp_path)


def test_every_config_that_takes_weights_is_a_plan_of_them(made, tmp_path):
    for file in ("calpha", "bases", "eigenbasis", "card"):
        config = weights(made, file)
        assert list(experiment.plan(config, tmp_path / file).runs) == ["alpha3"]
        assert config.scale == "smoke"
        assert not config.study.analysis.get("weights")
