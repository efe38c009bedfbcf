"""The string after the colon of --config, the scales, and the published configs."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import jax
import pytest

from gahr.experiment.build import build, check_devices, check_study
from gahr.config import SCALES, choose_scale, parse_arg, refuse_given, require_positive

CONFIGS = Path(__file__).parent.parent / "configs"
DEFAULTS = dict(alpha=(3.0,), sizes=(16, 32), steps=10, rate=0.5, name="unet", quick=False, background=None)


def get_config(arg, *, file="calpha"):
    spec = importlib.util.spec_from_file_location(file, CONFIGS / f"{file}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.get_config(arg)


@pytest.mark.parametrize("arg", [None, ""])
def test_no_argument_leaves_the_defaults(arg):
    assert parse_arg(arg, **DEFAULTS) == DEFAULTS


@pytest.mark.parametrize(
    ("arg", "name", "value"),
    [
        ("alpha=2", "alpha", (2.0,)),
        ("alpha=1+2.5+5", "alpha", (1.0, 2.5, 5.0)),
        ("sizes=8", "sizes", (8,)),
        ("steps=20", "steps", 20),
        ("rate=2", "rate", 2.0),
        ("rate=1e-3", "rate", 0.001),
        ("name=bfcnn", "name", "bfcnn"),
        ("quick=true", "quick", True),
        ("quick=False", "quick", False),
        ("background=4", "background", 4.0),
        ("background=none", "background", None),
    ],
)
def test_values_are_read_as_the_type_of_their_default(arg, name, value):
    found = parse_arg(arg, **DEFAULTS)
    assert found == DEFAULTS | {name: value}
    kinds = [type(v) for v in (found[name] if isinstance(value, tuple) else [found[name]])]
    assert kinds == [type(v) for v in (value if isinstance(value, tuple) else [value])]


def test_several_arguments_are_joined_by_commas():
    assert parse_arg("steps=3,quick=true", **DEFAULTS) == DEFAULTS | dict(steps=3, quick=True)


@pytest.mark.parametrize(
    ("arg", "message"),
    [
        ("alhpa=2", "unknown config argument 'alhpa'; did you mean alpha"),
        ("zzz=2", "unknown config argument 'zzz' .allowed: alpha, sizes"),
        ("steps=3,steps=4", "steps is given twice"),
        ("quick=yes", "quick must be true or false, got 'yes'"),
        ("quick", "quick needs a value"),
        ("steps=2.5", "steps must be a whole number, got '2.5'"),
        ("rate=fast", "rate must be a number, got 'fast'"),
        ("alpha=1+x", "alpha must be a number, got 'x'"),
        ("background=some", "background must be a number, got 'some'"),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(arg, message):
    with pytest.raises(ValueError, match=message):
        parse_arg(arg, **DEFAULTS)


@pytest.mark.parametrize("scale", SCALES)
def test_a_scale_that_is_asked_for_is_chosen(scale):
    assert choose_scale(scale) == (scale, "asked for")


@pytest.mark.parametrize(("backend", "scale"), [("cpu", "laptop"), ("gpu", "gpu"), ("tpu", "gpu")])
def test_auto_is_gpu_where_there_is_an_accelerator_and_else_laptop(monkeypatch, backend, scale):
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    assert choose_scale("auto")[0] == scale


def test_an_unknown_scale_names_the_nearest():
    with pytest.raises(ValueError, match="unknown scale 'labtop'; did you mean laptop"):
        choose_scale("labtop")


@pytest.mark.parametrize("value", [0.0, -1.0, float("inf"), float("nan")])
def test_require_positive_names_what_is_not(value):
    require_positive(alpha=1e-6, beta=10.0)
    with pytest.raises(ValueError, match="beta must be a positive number"):
        require_positive(alpha=1.0, beta=value)


@pytest.mark.parametrize("arg", [None, "", "steps=3,rate=2"])
def test_arguments_that_are_left_out_are_not_refused(arg):
    refuse_given(arg, "split", "path", belongs_to="data=file")


@pytest.mark.parametrize(
    ("file", "arg", "message"),
    [
        ("memorization", "split=random", "split= belongs to data=file"),  # given, though it is the default
        ("memorization", "num_test=8", "num_test= belongs to data=file"),
        ("memorization", "data=disks,channels=3", "channels= belongs to data=file"),
        ("memorization", "path=faces.npz", "path= belongs to data=file"),
        ("memorization", "data=disks,alpha=2", "alpha= belongs to data=calpha"),
        ("memorization", "data=file,path=faces.npz,alpha=2", "alpha= belongs to data=calpha"),
        ("card", "size=16", "size= belongs to weights="),
        ("card", "image=face.png", "image= belongs to weights="),
        ("card", "weights=net.npz,alpha=2", "alpha= belongs to the network that is trained"),
        ("eigenbasis", "size=16", "size= belongs to image= or weights="),
        ("eigenbasis", "weights=net.npz,alpha=2", "alpha= belongs to the network that is trained"),
    ],
)
def test_an_argument_that_would_be_ignored_is_refused(file, arg, message):
    with pytest.raises(ValueError, match=message):
        get_config(f"scale=smoke,{arg}", file=file)


@pytest.mark.parametrize(
    ("file", "arg"),
    [
        ("memorization", "alpha=2"),
        ("memorization", "data=file,path=faces.npz,split=group,num_test=8,channels=3"),
        ("card", "alpha=2"),
        ("card", "weights=net.npz,image=face.png,size=16"),
        ("eigenbasis", "alpha=2,image=face.png,size=16"),
        ("eigenbasis", "weights=net.npz,size=16"),
    ],
)
def test_an_argument_that_is_used_is_not_refused(file, arg):
    assert get_config(f"scale=smoke,{arg}", file=file).scale == "smoke"


@pytest.mark.parametrize("scale", SCALES)
def test_calpha_config_names_only_fields_that_exist_at_every_scale(scale):
    config = get_config(f"alpha=2,scale={scale}")
    assert list(config.runs) == ["alpha2"]
    assert (config.scale, config.scale_reason) == (scale, "asked for")
    parts = build(config, "alpha2")
    check_study(config)
    data = config.runs.alpha2.data
    assert parts.image_shape == (data.size, data.size, 1)
    batch = jax.eval_shape(parts.batch, parts.images, parts.key)
    assert batch.shape == (config.runs.alpha2.optim.batch_size, *parts.image_shape)


def test_calpha_config_at_the_papers_scale_is_the_published_recipe():
    run = get_config("alpha=5,scale=paper").runs.alpha5
    assert (run.data.size, run.data.set_size, run.data.alpha, run.data.background_alpha) == (80, 100_000, 5, 5)
    assert (run.model.name, run.model.features, run.model.num_blocks) == ("unet", 64, 3)
    assert (run.noise.law, run.noise.sigma_min, run.noise.sigma_max) == ("quadratic", 0, 1)
    optim = run.optim
    assert (optim.batch_size, optim.num_steps, optim.schedule, optim.peak) == (512, 391_000, "halving", 1e-3)


def test_calpha_config_has_one_run_for_each_exponent():
    config = get_config("alpha=1+2.5+5,background_alpha=8,scale=smoke,seed=7")
    assert [run.data.alpha for run in config.runs.values()] == [1, 2.5, 5]
    assert {run.data.background_alpha for run in config.runs.values()} == {8}
    assert config.seed == 7
    first, last = (build(config, name).key for name in ("alpha1", "alpha5"))
    assert first != last


@pytest.mark.parametrize(
    ("arg", "message"),
    [
        ("alpha=0", "alpha must be a positive number, got 0"),
        ("alpha=3+-1", "alpha must be a positive number, got -1"),
        ("background_alpha=0", "background_alpha must be a positive number"),
        ("scale=tiny", "unknown scale 'tiny'"),
        ("alfa=3", "did you mean alpha"),
        ("alpha=1+2+1", "alpha holds one exponent twice"),
        ("alpha=1+1.0000001", "two that round to one name: alpha1, alpha1"),
    ],
)
def test_calpha_config_refuses_impossible_arguments(arg, message):
    with pytest.raises(ValueError, match=message):
        get_config(arg)


@pytest.mark.parametrize(
    ("section", "field", "value", "message"),
    [
        ("data", "szie", 16, "run alpha3: unknown field data.szie; did you mean size"),
        ("data", "name", "calfa", "unknown data.name 'calfa'; did you mean calpha"),
        ("data", "size", 15, "image side 15 is not divisible"),
        ("data", "subset", "c", "subset must be one of a, b, test"),
        ("data", "set_size", 0, "set_size must be between"),
        ("model", "feature", 8, "unknown field model.feature; did you mean features"),
        ("noise", "law", "quadratc", "unknown noise.law 'quadratc'; did you mean quadratic"),
        ("noise", "weighting", "inverse_var", "unknown noise.weighting 'inverse_var'; did you mean inverse_variance"),
        ("noise", "sigma_min", 0.0, "log_uniform needs sigma_min > 0"),
        ("optim", "learning_rate", 1.0, "unknown field optim.learning_rate"),
        ("optim", "schedule", "linear", "halving, cosine or constant"),
        ("optim", "batch_size", 0, "optim.batch_size must be a whole number from 1, got 0"),
        ("optim", "num_steps", 0, "optim.num_steps must be a whole number from 1, got 0"),
        ("optim", "peak", 0.0, "optim.peak must be positive and finite in float32, got 0.0"),
        ("optim", "peak", float("inf"), "optim.peak must be positive and finite in float32, got inf"),
        ("optim", "peak", float("nan"), "optim.peak must be positive and finite in float32, got nan"),
        ("optim", "warmup", -1, "optim.warmup must be from 0 to below num_steps = 20, got -1"),
        ("optim", "warmup", 20, "optim.warmup must be from 0 to below num_steps = 20, got 20"),
        ("optim", "average", 1.0, "optim.average must be from 0 to below 1, got 1.0"),
        ("optim", "average", -0.1, "optim.average must be from 0 to below 1, got -0.1"),
        ("model", "dtype", "float31", "model.dtype must be one of float32, bfloat16, float16, got 'float31'"),
        ("model", "dtype", "int32", "model.dtype must be one of"),
        ("model", "gain_init", "publishd", "model.gain_init must be one of published, square_root, got 'publishd'"),
        ("model", "features", 0, "model.features must be a whole number from 1, got 0"),
        ("model", "num_blocks", 0, "model.num_blocks must be a whole number from 1, got 0"),
        ("noise", "sigma_min", -0.1, "noise.sigma_min must be finite and not negative, got -0.1"),
        ("noise", "sigma_max", float("nan"), "noise.sigma_max must be finite and not negative, got nan"),
        ("noise", "sigma_min", 2.0, "noise.sigma_min must be at most sigma_max = 1.0, got 2.0"),
        ("noise", "sigma_max", 0.0, "noise.sigma_max must be positive, got 0.0"),
    ],
)
def test_a_field_that_does_not_fit_is_refused_before_any_work(section, field, value, message):
    config = get_config("scale=smoke").unlock()
    config.runs.alpha3[section][field] = value
    with pytest.raises(ValueError, match=message):
        build(config, "alpha3")


@pytest.mark.parametrize(
    "noise",
    [dict(law="quadratic"), dict(law="quadratic", sigma_min=0.0), dict(law="uniform"), dict(law="fixed", sigma=0.0)],
)
@pytest.mark.parametrize("weighting", ["inverse_sigma", "inverse_variance"])
def test_infinite_weights_are_refused_where_sigma_reaches_zero(noise, weighting):
    config = get_config("scale=smoke").unlock()
    config.runs.alpha3.noise = noise | dict(weighting=weighting)
    with pytest.raises(ValueError, match=f"must be positive with weighting {weighting}"):
        build(config, "alpha3")
    field = "sigma" if noise["law"] == "fixed" else "sigma_min"
    config.runs.alpha3.noise[field] = 0.01
    build(config, "alpha3")


def test_batches_must_be_shared_by_the_devices_in_training_alone():
    config = get_config("scale=smoke")
    config.runs.alpha3.optim.batch_size = 12
    build(config, "alpha3")
    with pytest.raises(ValueError, match=r"run alpha3: .* shared by 8 devices; the nearest valid is 8 or 16"):
        check_devices(config, "alpha3")


@pytest.mark.parametrize(
    ("section", "field", "value", "message"),
    [
        ("analysis", "num_levels", 1, "num_levels must be at least 2, got 1"),
        ("analysis", "num_images", 1, "num_images must be at least 2, got 1"),
        (
            "analysis",
            "num_levels",
            3,
            "fit_between must hold at least two of the levels 0, 17, 34 dB, got .20.0, 34.0.",
        ),
        ("marks", "fit_between", (35.0, 50.0), "fit_between must hold at least two of the levels"),
    ],
)
def test_a_study_that_leaves_no_slope_to_fit_is_refused(section, field, value, message):
    config = get_config("scale=smoke").unlock()
    config.study[section][field] = value
    with pytest.raises(ValueError, match=message):
        check_study(config)


@pytest.mark.parametrize(("section", "message"), [("analysis", "num_images"), ("marks", "slope_within")])
def test_an_unknown_option_of_the_study_is_refused_with_the_nearest(section, message):
    config = get_config("scale=smoke").unlock()
    config.study[section][message[:-1]] = 1
    with pytest.raises(ValueError, match=f"did you mean {message}"):
        check_study(config)


def test_a_config_of_a_given_scale_is_read_without_jax():
    code = f"""
import runpy, sys
runpy.run_path({str(CONFIGS / "calpha.py")!r})["get_config"]("scale=smoke")
assert "jax" not in sys.modules, "jax"
"""
    subprocess.run([sys.executable, "-c", code], check=True)
