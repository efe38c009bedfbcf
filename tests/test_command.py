"""The main command line: errors in one line, the plan, and signals before any work."""

import os
import signal
import subprocess
import sys

import pytest
from test_pipeline import ROOT, command

from gahr.experiment import report, storage
from gahr.studies.common import Check

CALPHA = f"{ROOT / 'configs' / 'calpha.py'}"
SMOKE = f"--config={CALPHA}:scale=smoke"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--config", "configs/calpha.py:alpa=3"], "did you mean alpha?"),
        (["--config", "configs/calpha.py:alpha=-1"], "alpha must be a positive number, got -1"),
        (["--config", "configs/calpha.py:scale=smoke", "--config.runs.alpha3.optim.batchsize=8"], "batch_size"),
        (["--config", "configs/absent.py"], "no config file configs/absent.py"),
        (["--config=configs/absent.py:alpha=3", "--config.seed=1"], "no config file configs/absent.py"),
        (["--config", "configs/calpha.py:alpha=1+2+1"], "alpha holds one exponent twice"),
        ([SMOKE, "--config.study.analysis.num_levels=1"], "num_levels must be at least 2"),
        ([SMOKE, "--config.runs.alpha3.model.dtype=float31"], "model.dtype must be one of float32"),
        ([], "--config is needed"),
    ],
)
def test_bad_command_is_one_clear_line(arguments, message):
    result = command(*arguments, cwd=ROOT)
    assert result.returncode == 1
    (line,) = result.stderr.strip().splitlines()
    assert line.startswith("error: ")
    assert message in line


def test_dry_run_prints_the_plan_and_writes_nothing(tmp_path):
    config = f"{ROOT / 'configs' / 'calpha.py'}:scale=smoke"
    result = command("--config", config, "--dry_run", "--workdir", tmp_path / "run")
    assert result.returncode == 0, result.stderr
    for wanted in ('"set_size": 64', "decoder0_up/upsampling", "5,888", "MiB per device", "estimated training time"):
        assert wanted in result.stdout
    assert not (tmp_path / "run").exists()


def test_dry_run_checks_what_the_run_would(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    result = command(SMOKE, "--dry_run", "--workdir", tmp_path)
    assert (result.returncode, result.stdout) == (1, "")
    assert "is not a run directory" in result.stderr
    result = command(SMOKE, "--dry_run", "--config.study.analysis.num_images=1", "--workdir", tmp_path / "run")
    assert result.returncode == 1
    assert "num_images must be at least 2" in result.stderr


def test_dry_run_plans_the_runs_that_only_names(tmp_path):
    options = [f"--config={CALPHA}:scale=smoke,alpha=1+2", "--dry_run", "--workdir", tmp_path / "run"]
    result = command(*options, "--only=*2")
    assert result.returncode == 0, result.stderr
    assert "1 network," in result.stderr
    assert "run alpha2:" in result.stdout
    assert "run alpha1:" not in result.stdout
    assert "no run is named '*3'" in command(*options, "--only=*3").stderr


def test_an_error_of_a_missing_key_is_not_called_a_config_field(tmp_path):
    (tmp_path / "config.py").write_text(
        "from ml_collections import ConfigDict\ndef get_config():\n    return ConfigDict(dict(scale='smoke'))\n"
    )
    result = command("--config", tmp_path / "config.py", "--workdir", tmp_path / "run")
    assert result.returncode == 1
    (line,) = result.stderr.strip().splitlines()
    assert line.startswith("error: KeyError: ")
    assert "runs" in line


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_during_the_imports_leaves_with_one_line(tmp_path, number):
    (tmp_path / "absl.py").write_text(
        f"import os, time\ntry:\n    os.kill(os.getpid(), {int(number)}); time.sleep(60)\nfinally:\n    print('lost')\n"
    )
    line = [sys.executable, str(ROOT / "launch" / "main.py"), SMOKE]
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    result = subprocess.run(line, capture_output=True, text=True, timeout=60, check=False, env=environment)
    assert (result.returncode, result.stdout, result.stderr.split("\n")) == (
        0,
        "",
        ["", "stopped; nothing to save", ""],
    )


def test_help_names_the_arguments_of_the_config():
    result = command("--help")
    assert "alpha, background_alpha, scale and seed" in " ".join(result.stdout.split())


def test_the_command_to_repeat_leaves_out_what_does_not_matter(monkeypatch):
    words = ["main.py", "--config", "a b.py", "--only", "x*", "--progress=off", "--debug", "--workdir=w", "--nodebug"]
    monkeypatch.setattr(sys, "argv", words)
    assert storage.present_command() == "python main.py --config 'a b.py' --workdir=w"


def test_the_shortfall_counts_the_marks_that_are_not_met():
    checks = [Check("name", "-", "1", "-", met) for met in (True, False, None, False)]
    assert report.shortfall(checks) == "2 of 3 marks not met"
    assert report.shortfall(checks[::2]) == ""
