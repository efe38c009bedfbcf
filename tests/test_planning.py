"""What a config is refused for before any work, and what is made of its sections."""

import re

import jax
import jax.numpy as jnp
from conftest import get_config

from gahr.experiment import build
from gahr.experiment.planning import plan
from gahr.models.layers import initialize


def changed(section, field, value, arg="scale=smoke"):
    """The smoke config with one field of its run, or of a section of it, changed or added."""
    config = get_config(arg).unlock()
    run = config.runs.alpha3
    (run if section is None else run[section])[field] = value
    return config


def refusal(config, workdir):
    """What a plan of the config is refused with; empty where it is not."""
    try:
        plan(config, workdir)
    except ValueError as error:
        return str(error)
    return ""


def test_a_field_that_does_not_fit_is_refused_and_named(tmp_path):
    cases = [
        (None, "subset", "c", r"unknown subset 'c' \(allowed: a, b\)"),
        (None, "subset", "test", r"unknown subset 'test' \(allowed: a, b\)"),
        (None, "set_size", 0, "set_size of subset a must be a whole number from 1 to"),
        (None, "sett_size", 1, "unknown field sett_size; did you mean set_size"),
        ("data", "szie", 16, r"unknown field data\.szie; did you mean size"),
        ("data", "name", "calfa", r"unknown data\.name 'calfa'; did you mean calpha"),
        ("data", "size", 15, "image side 15 is not divisible by .* nearest valid is 14 or 16"),
        ("data", "size", 1, r"data\.size must be a whole number from 2, got 1"),
        ("model", "name", "unett", r"unknown model\.name 'unett'; did you mean unet"),
        ("model", "feature", 8, r"unknown field model\.feature; did you mean features"),
        ("model", "dtype", "float31", r"model\.dtype must be one of float32, bfloat16, float16, got 'float31'"),
        ("model", "num_blocks", 0, r"model\.num_blocks must be a whole number from 1, got 0"),
        ("objective", "name", "denoisin", r"unknown objective\.name 'denoisin'; did you mean denoising"),
        ("objective", "law", "quadratc", "'quadratc'; did you mean quadratic"),
        ("objective", "sigma_mn", 0.1, "sigma_mn.*did you mean sigma_min"),
        ("objective", "sigma_min", 0.0, "sigma_min"),
        ("objective", "sigma_min", 2.0, r"objective\.sigma_min must be at most sigma_max = 1\.0, got 2\.0"),
        ("objective", "teacher", "alpha4", "denoising learns from images alone and takes no teacher"),
        ("optim", "name", "adan", r"unknown optim\.name 'adan'; did you mean adam"),
        ("optim", "learning_rate", 1.0, r"unknown field optim\.learning_rate"),
        ("optim", "schedule", "linear", r"unknown schedule 'linear' \(allowed: halving, cosine, constant\)"),
        ("optim", "batch_size", 0, r"optim\.batch_size must be a whole number from 1, got 0"),
        ("optim", "warmup", -1, r"optim\.warmup must be from 0 to below num_steps = 20, got -1"),
    ]
    found = [(message, refusal(changed(*case), tmp_path / "run")) for *case, message in cases]
    assert [pair for pair in found if not re.search(f"run alpha3: .*{pair[0]}", pair[1])] == []
    assert not (tmp_path / "run").exists()


def test_a_field_that_is_missing_is_named(tmp_path):
    for name in ("data.alpha", "data.name", "optim.num_steps", "model.name", "objective.name"):
        section, field = name.split(".")
        config = get_config().unlock()
        del config.runs.alpha3[section][field]
        assert f"run alpha3: field {name} is missing" in refusal(config, tmp_path)


def test_options_of_a_study_are_refused_before_training(tmp_path):
    cases = [
        ("calpha", "", "name", "slope", r"unknown study\.name 'slope'; did you mean slopes"),
        ("calpha", "analysis", "num_levels", 1, r"study\.analysis\.num_levels must be at least 2, got 1"),
        ("calpha", "analysis", "num_images", 1, r"study\.analysis\.num_images must be at least 2, got 1"),
        ("calpha", "analysis", "num_levels", 3, r"fit_between must hold at least two of the levels 0, 17, 34 dB"),
        ("calpha", "analysis", "fit_between", (35.0, 50.0), "fit_between must hold at least two of the levels"),
        ("calpha", "analysis", "num_image", 1, r"unknown field study\.analysis\.num_image; did you mean num_images"),
        ("calpha", "marks", "slope_withi", 1, r"unknown field study\.marks\.slope_withi; did you mean slope_within"),
        ("bases", "analysis", "num_bases", 0, r"study\.analysis\.num_bases must"),
        ("bases", "analysis", "sigma", 0.0, r"study\.analysis\.sigma must"),
        ("shuffled", "analysis", "sigma", -1.0, r"study\.analysis\.sigma must"),
        ("shuffled", "analysis", "num_levels", 1, r"study\.analysis\.num_levels must"),
        ("shuffled", "analysis", "fit_between", (20.0, 21.0), r"study\.analysis\.fit_between must"),
        ("lowdim", "analysis", "sigma", {"ray": 0.1}, r"study\.analysis\.sigma must"),
        ("lowdim", "analysis", "num_images", 1, r"study\.analysis\.num_images must"),
        ("disks", "analysis", "num_samples", 8, r"study\.analysis\.num_samples must"),
        ("card", "analysis", "num_probes", 0, r"study\.analysis\.num_probes must"),
        ("eigenbasis", "analysis", "weights", "absent.npz", r"study\.analysis\.weights: there is no file absent\.npz"),
        ("memorization", "transition/analysis", "num_levels", 2, r"study\.analysis\.num_levels must"),
        ("memorization", "twins/analysis", "num_samples", 5, r"study\.analysis\.num_samples must"),
        ("memorization", "twins/analysis", "beta", 0.0, r"study\.analysis\.beta must"),
    ]
    wrong = []
    for file, section, field, value, message in cases:
        config = get_config(file=file).unlock()
        target = config.study
        for name in filter(None, section.split("/")):
            target = target[name]
        target[field] = value
        if not re.search(message, found := refusal(config, tmp_path)):
            wrong.append((message, found))
    assert wrong == []


def test_initial_values_are_drawn_from_the_key_of_no_step(tmp_path):
    parts = plan(get_config(), tmp_path).runs["alpha3"]
    found = jax.tree.leaves(build.new_state(parts).params)
    for step in range(3):
        others = initialize(parts.model, jax.random.fold_in(parts.key, step), parts.dataset.shape)["params"]
        assert not any(jnp.any(a == b) for a, b in zip(found, jax.tree.leaves(others), strict=True) if a.ndim > 1)


def test_another_network_by_its_name_alone_drops_the_fields_it_has_not(tmp_path):
    planned = plan(changed("model", "name", "bfcnn"), tmp_path)
    assert planned.notes == ("run alpha3: a bfcnn has no num_blocks; left out",)
    assert planned.runs["alpha3"].model.features == 8
    assert "num_blocks" not in planned.config["runs"]["alpha3"]["model"]
    assert plan(get_config("scale=smoke,model=bfcnn"), tmp_path).runs["alpha3"].model.num_layers == 4
