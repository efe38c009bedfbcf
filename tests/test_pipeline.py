"""The main command end to end at smoke scale: results, resuming, interruption, damage and bad input."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import ONE_DEVICE, ROOT, get_config

from gahr import experiment
from gahr.experiment.progress import Interrupted, Progress

WEIGHTS = "alpha3/denoiser.safetensors"


def make_config(**optim):
    config = get_config()
    config.runs.alpha3.optim.update(optim)
    return config


class StopAfter(Progress):
    """Asks for a stop at the first report of progress at or after a step."""

    def __init__(self, step):
        super().__init__("off")
        self.step = step

    def update(self, task, done, total, *, note=""):
        self.stop_requested = done >= self.step


def newest_checkpoint(workdir):
    """Its step; 0 where there is none."""
    return max((int(path.name) for path in workdir.glob("alpha3/checkpoints/*") if path.name.isdigit()), default=0)


def await_checkpoint(processes, workdir, *, after=0):
    """Returns once there is one of a step above `after`."""
    deadline = time.monotonic() + 120
    while newest_checkpoint(workdir) <= after:
        assert time.monotonic() < deadline
        assert all(process.poll() is None for process in processes), [p.communicate()[1] for p in processes]
        time.sleep(0.05)


def stop(config, workdir, *steps):
    """Trains and stops at each of the steps."""
    for step in steps:
        with pytest.raises(Interrupted):
            experiment.train(config, workdir, progress=StopAfter(step))


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("finished") / "run"
    config = make_config()
    experiment.train(config, workdir)
    return config, workdir, experiment.study(config, workdir)


def test_run_leaves_all_that_it_promises(finished):
    _, workdir, checks = finished
    files = {str(path.relative_to(workdir)) for path in workdir.rglob("*") if path.is_file()}
    promised = {"config.json", "study.npz", "results.json", "report.md", "figures/slopes.png", "figures/slopes.pdf"}
    assert promised | {WEIGHTS, "alpha3/metrics.jsonl"} <= files
    assert not [name for name in files if "partial" in name]
    stored = json.loads((workdir / "results.json").read_text())
    assert [check["name"] for check in stored["checks"]] == [check.name for check in checks]
    assert all(check.met for check in checks if "D(y)" in check.name)
    description = json.loads((workdir / "config.json").read_text())
    assert description["config"]["seed"] == 0
    assert description["versions"]["jax"] == jax.__version__
    assert len(description["devices"]) == jax.device_count()
    records = [json.loads(line) for line in (workdir / "alpha3/metrics.jsonl").read_text().splitlines()]
    assert records[-1]["step"] == 20
    assert {"loss", "train_psnr", "test_psnr", "images_per_second"} <= set(records[-1])


def test_finished_run_is_skipped_and_its_figure_redrawn(finished):
    config, workdir, _ = finished
    before = {path: path.stat().st_mtime_ns for path in workdir.rglob("*") if path.is_file()}
    experiment.train(config, workdir)
    experiment.study(config, workdir)
    changed = {path.name for path, moment in before.items() if path.stat().st_mtime_ns != moment}
    assert changed == {"results.json", "report.md", "slopes.png", "slopes.pdf"}


def test_load_denoiser_equals_the_last_checkpoint(finished):
    _, workdir, _ = finished
    noisy = jax.random.normal(jax.random.key(0), (2, 16, 16, 1))
    exported = experiment.load_denoiser(workdir)(noisy)
    assert jnp.array_equal(exported, experiment.load_denoiser(workdir, run="alpha3", step=20)(noisy))
    assert not jnp.array_equal(exported, noisy)
    with pytest.raises(ValueError, match="did you mean alpha3"):
        experiment.load_denoiser(workdir, run="alpha4")
    with pytest.raises(ValueError, match=r"checkpoints of steps \[6, 20\], not 7"):
        experiment.load_denoiser(workdir, step=7)


def test_stopped_run_resumes_to_the_same_bits(finished, tmp_path):
    config, workdir, _ = finished
    stop(config, tmp_path, 1, 2)
    assert not (tmp_path / WEIGHTS).exists()
    experiment.train(config, tmp_path)
    assert (tmp_path / WEIGHTS).read_bytes() == (workdir / WEIGHTS).read_bytes()


def test_a_directory_of_the_first_format_is_read_and_goes_on(finished, tmp_path):
    config, workdir, _ = finished
    stop(config, tmp_path, 3)
    description = json.loads((tmp_path / "config.json").read_text())
    assert description.pop("version") == 2
    run = description["config"]["runs"]["alpha3"]
    run["noise"], run["data"]["subset"], run["data"]["set_size"] = (
        run.pop(n) for n in ("objective", "subset", "set_size")
    )
    for section, field in ((run, "variant"), (run, "repeat"), (run["noise"], "name"), (run["optim"], "name")):
        del section[field]
    (tmp_path / "config.json").write_text(json.dumps(description))
    noisy = jax.random.normal(jax.random.key(0), (16, 16, 1))
    before = experiment.load_denoiser(tmp_path)(noisy)
    experiment.train(config, tmp_path)
    assert (tmp_path / WEIGHTS).read_bytes() == (workdir / WEIGHTS).read_bytes()
    assert not jnp.array_equal(before, experiment.load_denoiser(tmp_path)(noisy))
    (tmp_path / "config.json").write_text(json.dumps(description | {"version": 3}))
    with pytest.raises(ValueError, match="format version 3 is not known; the newest here is 2"):
        experiment.load_denoiser(tmp_path)


def test_a_run_in_training_is_refused_to_another_process_until_that_ends(tmp_path):
    config = make_config()
    stop(config, tmp_path, 1)
    code = "import sys; from pathlib import Path; from gahr.experiment import storage\n"
    code += "with storage.alone(Path(sys.argv[1]), otherwise=''): print('held', flush=True); input()"
    line = [sys.executable, "-c", code, str(tmp_path / "alpha3")]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(ValueError, match="alpha3: another process is training it"):
            experiment.train(config, tmp_path)
        other.kill()
    experiment.train(config, tmp_path)
    assert (tmp_path / WEIGHTS).exists()


def test_parameter_average_is_what_is_exported(finished, tmp_path):
    _, workdir, _ = finished
    experiment.train(make_config(average=0.9), tmp_path)
    noisy = jax.random.normal(jax.random.key(0), (16, 16, 1))
    averaged = experiment.load_denoiser(tmp_path)(noisy)
    assert jnp.array_equal(averaged, experiment.load_denoiser(tmp_path, step=20)(noisy))
    assert not jnp.array_equal(averaged, experiment.load_denoiser(workdir)(noisy))


@pytest.mark.parametrize("damage", ["truncate", "delete"])
def test_damaged_checkpoint_falls_back_to_the_one_before(finished, tmp_path, damage):
    config, workdir, _ = finished
    stop(config, tmp_path, 1, 2)
    newest = newest_checkpoint(tmp_path)
    for path in (tmp_path / "alpha3" / "checkpoints" / str(newest)).rglob("*"):
        if path.is_file() and path.name != "_CHECKPOINT_METADATA":
            if damage == "delete":
                path.unlink()
            else:
                os.truncate(path, path.stat().st_size // 2)
    progress, lines = Progress("off"), []
    progress.line = lines.append
    experiment.train(config, tmp_path, progress=progress)
    assert any(f"{newest} cannot be read" in line and "going back" in line for line in lines)
    assert (tmp_path / WEIGHTS).read_bytes() == (workdir / WEIGHTS).read_bytes()


def test_loss_that_is_not_finite_stops_and_names_run_and_step(tmp_path):
    with pytest.raises(FloatingPointError, match=r"at step \d+ of run alpha3; no checkpoint was written yet"):
        experiment.train(make_config(peak=1e30, schedule="constant"), tmp_path)
    assert not (tmp_path / WEIGHTS).exists()


def test_finished_run_is_read_where_the_devices_cannot_share_its_batches(finished, tmp_path, monkeypatch):
    config, workdir, checks = finished
    shutil.copytree(workdir, tmp_path / "run")
    (tmp_path / "run" / "study.npz").unlink()
    monkeypatch.setattr(jax, "device_count", lambda: 3)
    experiment.train(config, tmp_path / "run")
    assert experiment.study(config, tmp_path / "run") == checks
    experiment.load_denoiser(tmp_path / "run", step=20)
    with pytest.raises(ValueError, match=r"run alpha3: .*nearest valid is 6 or 9"):
        experiment.train(config, tmp_path / "new")


def test_damaged_results_are_named_or_made_again(finished, tmp_path):
    config, workdir, checks = finished
    shutil.copytree(workdir, tmp_path / "run")
    whole = (tmp_path / "run" / "study.npz").read_bytes()
    for size in (0, 10, len(whole) // 2, len(whole) - 10):
        os.truncate(tmp_path / "run" / "study.npz", size)
        assert experiment.study(config, tmp_path / "run") == checks
        assert len((tmp_path / "run" / "study.npz").read_bytes()) == len(whole)
    weights = tmp_path / "run" / WEIGHTS
    for size in (weights.stat().st_size - 4, 100, 0):
        os.truncate(weights, size)
        with pytest.raises(ValueError, match=r"run/alpha3/denoiser\.safetensors cannot be read"):
            experiment.load_denoiser(tmp_path / "run")


def test_directory_of_another_config_is_refused(finished):
    _, workdir, _ = finished
    with pytest.raises(ValueError, match="seed was 0, is 1"):
        experiment.train(get_config("scale=smoke,seed=1"), workdir)
    with pytest.raises(OSError, match="cannot be written"):
        experiment.train(make_config(), Path("/proc/run"))


def test_several_exponents_make_one_run_each(tmp_path):
    config = get_config("scale=smoke,alpha=2.5+3")
    experiment.train(config, tmp_path, only="alpha3")
    with pytest.raises(ValueError, match="not trained yet: alpha2_5"):
        experiment.study(config, tmp_path)
    with pytest.raises(ValueError, match=r"run alpha2_5 of .* is not trained yet"):
        experiment.load_denoiser(tmp_path, run="alpha2_5")
    experiment.train(config, tmp_path)
    checks = experiment.study(config, tmp_path)
    assert {check.name.split(":")[0] for check in checks} == {"alpha2_5", "alpha3"}
    with np.load(tmp_path / "study.npz") as arrays:
        assert arrays["alpha2_5/test/network"].shape == (8, 8)


def test_training_on_a_file_resumes_with_it_alone(tmp_path):
    small_set, config = tmp_path / "faces.npy", make_config()
    np.save(small_set, np.random.default_rng(6).integers(0, 256, (60, 16, 16), dtype=np.uint8))
    config.runs.alpha3.data = dict(name="file", path=str(small_set), size=16, num_test=10, split="random")
    config.runs.alpha3.set_size = 20
    stop(config, tmp_path / "run", 1)
    whole = np.load(small_set)
    changed = whole.copy()
    changed[50, 3, 3] ^= 1
    np.save(small_set, changed)
    with pytest.raises(ValueError, match=r"data\.digest was faces\.npy sha256:\w+, is faces\.npy sha256:"):
        experiment.train(config, tmp_path / "run")
    np.save(small_set, whole)
    experiment.train(config, tmp_path / "run")
    experiment.train(config, tmp_path / "uninterrupted")
    assert (tmp_path / "run" / WEIGHTS).read_bytes() == (tmp_path / "uninterrupted" / WEIGHTS).read_bytes()
    record = json.loads((tmp_path / "run" / "alpha3" / "metrics.jsonl").read_text().splitlines()[-1])
    assert np.isfinite([record["train_psnr"], record["test_psnr"]]).all()
    small_set.unlink()
    noisy = jax.random.normal(jax.random.key(0), (16, 16, 1))
    exported = experiment.load_denoiser(tmp_path / "run")(noisy)
    np.testing.assert_array_equal(exported, experiment.load_denoiser(tmp_path / "run", step=20)(noisy))


def test_command_survives_kill_and_termination(tmp_path):
    workdir = tmp_path / "run"
    options = ["--config", f"{ROOT / 'configs' / 'calpha.py'}:scale=smoke", "--config.runs.alpha3.optim.num_steps=600"]
    options += ["--config.checkpoint_seconds=0.5", "--progress=plain", "--only=alpha3"]
    line = [sys.executable, str(ROOT / "launch" / "main.py"), *options, f"--workdir={workdir}"]
    one_device = os.environ | ONE_DEVICE

    def start_and_signal(number, after):
        process = subprocess.Popen(line, stderr=subprocess.PIPE, text=True, env=one_device)
        await_checkpoint([process], workdir, after=after)
        process.send_signal(number)
        return process.communicate(timeout=120)[1], process.returncode

    _, status = start_and_signal(signal.SIGKILL, after=0)
    assert status == -signal.SIGKILL
    newest = newest_checkpoint(workdir)
    errors, status = start_and_signal(signal.SIGTERM, after=newest)
    assert status == 0, errors
    assert f"resuming at step {newest} of 600" in errors
    assert not (workdir / WEIGHTS).exists()
    resume = shlex.split(errors.partition("resume with: ")[2])
    last = subprocess.run(resume, capture_output=True, text=True, timeout=300, check=False, env=one_device)
    assert last.returncode == 0, last.stderr
    experiment.train(make_config(num_steps=600), tmp_path / "whole")
    assert (workdir / WEIGHTS).read_bytes() == (tmp_path / "whole" / WEIGHTS).read_bytes()
    steps = [json.loads(line)["step"] for line in (workdir / "alpha3/metrics.jsonl").read_text().splitlines()]
    assert steps == sorted(set(steps))
