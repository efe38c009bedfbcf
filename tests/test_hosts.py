"""Several real processes on this machine train as one, stop together, and another number of them goes on."""

import os
import signal
import socket
import subprocess
import sys

import numpy as np
from conftest import ONE_DEVICE, ROOT
from safetensors.numpy import load_file
from test_pipeline import WEIGHTS, await_checkpoint

OPTIONS = [f"--config={ROOT / 'configs' / 'calpha.py'}:scale=smoke", "--progress=plain"]
OPTIONS += ["--config.runs.alpha3.optim.num_steps=60", "--config.runs.alpha3.optim.peak=2e-4"]
OPTIONS += ["--config.checkpoint_seconds=0", "--only=alpha3"]  # a checkpoint a step


def start(number, workdir):
    """That many processes of one device each that train together."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    line = [sys.executable, str(ROOT / "launch" / "main.py"), *OPTIONS, f"--workdir={workdir}"]
    if number > 1:
        line += ["--distributed", f"--coordinator={address}", f"--num_processes={number}"]
    environment = os.environ | ONE_DEVICE | {"JAX_PLATFORMS": "cpu"}
    which = [[f"--process_id={i}"] if number > 1 else [] for i in range(number)]
    return [subprocess.Popen(line + one, stderr=subprocess.PIPE, text=True, env=environment) for one in which]


def finish(processes):
    errors = [process.communicate(timeout=300)[1] for process in processes]
    assert [process.returncode for process in processes] == [0] * len(processes), errors
    return errors


def test_two_processes_stop_together_and_one_goes_on_with_the_same_numbers(tmp_path):
    finish(start(1, tmp_path / "alone"))
    processes = start(2, tmp_path / "run")
    await_checkpoint(processes, tmp_path / "run")
    processes[-1].send_signal(signal.SIGTERM)
    errors = finish(processes)
    assert not (tmp_path / "run" / WEIGHTS).exists()
    assert all("stopped and saved" in error for error in errors)
    (resumed,) = finish(start(1, tmp_path / "run"))
    assert "resuming at step" in resumed
    alone, together = (load_file(tmp_path / name / WEIGHTS) for name in ("alone", "run"))
    for name, array in alone.items():
        np.testing.assert_allclose(together[name], array, rtol=0, atol=1e-6)
