"""The main command line: errors in one line, the plan, and signals before any work."""

import math
import signal
import sys

import pytest
from conftest import ROOT, python

from gahr.experiment import report, storage
from gahr.studies.shared.study import AtLeast, Check, Estimate

SMOKE = "--config=configs/calpha.py:scale=smoke"


def test_bad_commands_are_one_clear_line(unclear):
    cases = {
        ("--config", "configs/calpha.py:alpa=3"): "did you mean alpha?",
        (SMOKE, "--config.runs.alpha3.optim.batchsize=8"): "batch_size",
        ("--config", "configs/absent.py"): "no config file configs/absent.py",
        ("--config=configs/absent.py:alpha=3", "--config.seed=1"): "no config file configs/absent.py",
        (SMOKE, "--config.study.analysis.num_levels=1"): "num_levels must be at least 2",
        (SMOKE, "--config.runs.alpha3.model.dtype=float31"): "model.dtype must be one of float32",
    }
    assert not (found := unclear("main", cases)), found


def test_a_process_that_fails_ends_with_one_line_and_status_1():
    done = python(ROOT / "launch" / "main.py")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert done.stderr.startswith("error: --config is needed")


def test_dry_run_prints_the_plan_and_writes_nothing(launch, tmp_path):
    done = launch("main", SMOKE, "--dry_run", "--workdir", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    for wanted in ('"set_size": 64', "decoder0_up/upsampling", "5,888", "MiB per device", "estimated training time"):
        assert wanted in done.stdout
    assert not (tmp_path / "run").exists()


def test_dry_run_checks_what_the_run_would(unclear, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    too_few = "--config.study.analysis.num_images=1"
    cases = {
        (SMOKE, "--dry_run", "--workdir", tmp_path): "is not a run directory",
        (SMOKE, "--dry_run", "--workdir", tmp_path / "run", too_few): "num_images must be at least 2",
    }
    assert not (found := unclear("main", cases)), found


def test_dry_run_plans_the_runs_that_only_names(launch, tmp_path):
    options = ["--config=configs/calpha.py:scale=smoke,alpha=1+2", "--dry_run", "--workdir", tmp_path / "run"]
    done = launch("main", *options, "--only=*2")
    assert done.returncode == 0, done.stderr
    assert "1 network," in done.stderr
    assert "run alpha2:" in done.stdout
    assert "run alpha1:" not in done.stdout
    assert "no run is named '*3'" in launch("main", *options, "--only=*3").stderr


def test_an_error_of_a_missing_key_is_not_called_a_config_field(launch, tmp_path):
    (tmp_path / "config.py").write_text(
        "from ml_collections import ConfigDict\ndef get_config():\n    return ConfigDict(dict(scale='smoke'))\n"
    )
    done = launch("main", "--config", tmp_path / "config.py", "--workdir", tmp_path / "run")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert done.stderr.startswith("error: KeyError: ")
    assert "runs" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_during_the_imports_leaves_with_one_line(tmp_path, number):
    (tmp_path / "absl.py").write_text(
        f"import os, time\ntry:\n    os.kill(os.getpid(), {int(number)}); time.sleep(60)\nfinally:\n    print('lost')\n"
    )
    done = python(ROOT / "launch" / "main.py", SMOKE, PYTHONPATH=str(tmp_path))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "\nstopped; nothing to save\n")


def test_help_names_the_arguments_of_the_config(launch):
    assert "alpha, background_alpha, model, scale and seed" in " ".join(launch("main", "--help").stdout.split())


def test_the_command_to_repeat_leaves_out_what_does_not_matter(monkeypatch):
    words = ["main.py", "--config", "a b.py", "--only", "x*", "--progress=off", "--debug", "--workdir=w", "--nodebug"]
    monkeypatch.setattr(sys, "argv", words)
    assert storage.present_command() == "python main.py --config 'a b.py' --workdir=w"


def test_the_shortfall_counts_the_marks_that_are_not_met():
    checks = [Check("name", "-", value, AtLeast(mark)) for value, mark in ((1, 1), (1, 2), (1, None), (1, 2))]
    assert report.shortfall(checks) == "2 of 3 marks not met"
    assert report.shortfall(checks[::2]) == ""
    nothing = Check("name", "-", 1, AtLeast(1), {"null": 2.0})
    assert report.shortfall([*checks, nothing]) == "2 of 4 marks not met, 1 met by every null"
    assert report.shortfall([nothing]) == "1 met by every null"


@pytest.mark.parametrize(
    ("value", "nulls", "words"),
    [
        (3, {"one": 1.0, "other": Estimate(0.0, 9.0)}, "yes"),
        (3, {"one": 1.0, "other": Estimate(2.0, 9.0)}, "yes; also other"),
        (3, {"one": 2.0, "other": math.nan}, "by every null too: no finding"),  # of NaN nothing is known
        (3, {}, "yes"),  # a property, of which no null is given
        (1, {"one": 1.0}, "NO"),
        (math.nan, {"one": 1.0}, "NO"),
    ],
)
def test_a_verdict_says_which_nulls_meet_the_mark_as_well(value, nulls, words):
    check = Check("name", "-", value, AtLeast(2), nulls)
    assert report.verdict(check) == words
    assert report.table([check]).splitlines()[-1].split(" | ")[-1].strip(" |") == words
    data = report.as_data(check)
    assert list(data["nulls"]) == list(nulls)
    assert data["met_by"] == (list(nulls) if "every" in words else ["other"] if "other" in words else [])
    assert report.verdict(check._replace(mark=None)) == "-"
