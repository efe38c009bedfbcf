"""The string after the colon of --config, the scales, and the published configs."""

import re

import jax
import numpy as np
import pytest
from conftest import ROOT, get_config, python

from gahr.config import SCALES, choose_scale, num_blocks, parse_arg, refuse_given, require_positive
from gahr.experiment.planning import plan

DEFAULTS = dict(alpha=(3.0,), sizes=(16, 32), steps=10, rate=0.5, name="unet", quick=False, background=None)


def test_values_are_read_as_the_type_of_their_default():
    for arg, name, value in [
        (None, "steps", 10),
        ("", "steps", 10),
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
    ]:
        found = parse_arg(arg, **DEFAULTS)
        assert repr(found) == repr(DEFAULTS | {name: value})  # 2 is not 2.0


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


@pytest.mark.parametrize(("backend", "scale"), [("cpu", "laptop"), ("gpu", "gpu"), ("tpu", "gpu")])
def test_auto_is_gpu_where_there_is_an_accelerator_and_else_laptop(monkeypatch, backend, scale):
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    assert choose_scale("auto")[0] == scale


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
        ("calpha", "alpha=0", "alpha must be a positive number, got 0"),
        ("calpha", "alpha=3+-1", "alpha must be a positive number, got -1"),
        ("calpha", "background_alpha=0", "background_alpha must be a positive number"),
        ("calpha", "scale=labtop", "unknown scale 'labtop'; did you mean laptop"),
        ("calpha", "model=unett", "unknown model 'unett'; did you mean unet"),
        ("calpha", "alfa=3", "did you mean alpha"),
        ("calpha", "alpha=1+2+1", "alpha holds one exponent twice"),
        ("calpha", "alpha=1+1.0000001", "two that round to one name: alpha1, alpha1"),
        ("bases", "contours=2", "did you mean contour"),
        ("shuffled", "sigma=0", "sigma must be a positive number"),
        ("memorization", "data=calph", "did you mean calpha"),
        ("memorization", "data=file", "data=file needs path="),
        ("memorization", "set_sizes=10+10", "set_sizes must be different"),
        ("memorization", "set_sizes=10+0", "set_sizes must be different"),
        ("memorization", "repeats=0", "repeats must be a positive"),
        ("memorization", "size=0", "size must be different whole numbers from 1, got 0"),
        ("memorization", "features=0", "features must be different"),
        ("memorization", "split=random", "split= belongs to data=file"),  # given, though it is the default
        ("memorization", "num_test=8", "num_test= belongs to data=file"),
        ("memorization", "data=disks,channels=3", "channels= belongs to data=file"),
        ("memorization", "path=faces.npz", "path= belongs to data=file"),
        ("memorization", "data=disks,alpha=2", "alpha= belongs to data=calpha"),
        ("memorization", "data=file,path=faces.npz,alpha=2", "alpha= belongs to data=calpha"),
        ("card", "size=16", "size= belongs to weights="),
        ("card", "image=face.png", "image= belongs to weights="),
        ("card", "weights=net.npz,alpha=2", "alpha= belongs to networks that are trained"),
        ("eigenbasis", "size=16", "size= belongs to image= or weights="),
        ("eigenbasis", "weights=net.npz,alpha=2", "alpha= belongs to networks that are trained"),
    ],
)
def test_an_argument_that_is_impossible_or_would_be_ignored_is_refused(file, arg, message):
    with pytest.raises(ValueError, match=message):
        get_config(arg, file=file)


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
@pytest.mark.parametrize("file", sorted(path.stem for path in (ROOT / "configs").glob("*.py")))
def test_every_config_is_a_plan_at_every_scale(tmp_path, file, scale):
    config = get_config(f"scale={scale}", file=file)
    assert (config.scale, config.scale_reason) == (scale, "asked for")
    planned = plan(config, tmp_path)
    assert set(planned.runs) == set(config.runs)
    assert {parts.dataset.shape[1] for parts in planned.runs.values()} == {r.data.size for r in config.runs.values()}


def test_networks_told_sigma_are_scaled_to_the_pixels_of_a_file(tmp_path):
    """Dark images about the middle of [0, 1] cost a denoiser of digits 5 dB."""
    images = np.random.default_rng(0).normal(0.1, 0.05, (200, 8, 8)).clip(0, 1)
    for name, stored in (("floats", images), ("bytes", np.rint(255 * images).astype(np.uint8))):
        np.save(tmp_path / f"{name}.npy", stored)
        runs = get_config(f"scale=smoke,data=file,path={tmp_path}/{name}.npy,size=8", file="consistency").runs
        for run in (runs.teacher, runs.student):
            assert (run.model.mean, run.model.sigma_data) == (0.1, 0.05)
    with pytest.raises(ValueError, match="there is no file"):
        get_config(f"data=file,path={tmp_path}/none.npz", file="consistency")


def test_calpha_config_at_the_papers_scale_is_the_published_recipe():
    run = get_config("alpha=5,scale=paper").runs.alpha5
    assert (run.data.size, run.set_size, run.data.alpha, run.data.background_alpha) == (80, 100_000, 5, 5)
    assert (run.model.name, run.model.features, run.model.num_blocks) == ("unet", 64, 3)
    assert (run.objective.law, run.objective.sigma_min, run.objective.sigma_max) == ("quadratic", 0, 1)
    optim = run.optim
    assert (optim.name, optim.batch_size, optim.num_steps, optim.schedule) == ("adam", 512, 391_000, "halving")
    assert optim.peak == 1e-3
    model = get_config("scale=paper,model=bfcnn").runs.alpha3.model
    assert (model.name, model.features, model.num_layers) == ("bfcnn", 64, 21)


def test_calpha_config_has_one_run_for_each_exponent(tmp_path):
    config = get_config("alpha=1+2.5+5,background_alpha=8,scale=smoke,seed=7")
    assert [run.data.alpha for run in config.runs.values()] == [1, 2.5, 5]
    assert {run.data.background_alpha for run in config.runs.values()} == {8}
    runs = plan(config, tmp_path).runs
    assert len({tuple(jax.random.key_data(parts.key).tolist()) for parts in runs.values()}) == 3
    assert list(get_config("contour=1+3,scale=smoke", file="bases").runs) == ["alpha1", "alpha3"]


def test_the_arguments_of_every_config_are_told_in_its_first_lines():
    """Catches an argument that was added and not told, or told and gone."""
    for path in (ROOT / "configs").glob("*.py"):
        text = path.read_text()
        told = set(re.findall(r"^  (\w+)  ", text.split('"""')[1], re.MULTILINE))
        taken = re.search(r"parse_arg\(\s*arg,(.*?)\n?\s*\)\n", text, re.DOTALL)[1]
        assert told == set(re.findall(r"(\w+)=", taken)), path.name


def test_depth_follows_the_side_where_there_are_several(tmp_path):
    assert [num_blocks(size) for size in (8, 20, 32, 40, 80, 160, 36)] == [1, 1, 2, 2, 3, 4, 2]  # 20 to 160: table 1
    made = get_config("scale=gpu,size=20+40+80,features=64,set_sizes=1", file="memorization")
    assert {run.data.size: run.model.num_blocks for run in made.runs.values()} == {20: 1, 40: 2, 80: 3}
    assert len(plan(made, tmp_path).runs) == 6


def test_a_config_of_a_given_scale_is_read_without_jax():
    code = "import runpy, sys; runpy.run_path(sys.argv[1])['get_config']('scale=smoke'); print('jax' in sys.modules)"
    assert python("-c", code, ROOT / "configs" / "calpha.py").stdout == "False\n"
