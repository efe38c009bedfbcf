"""The tests of `sharded/`, which need eight devices and so a process of their own."""

import os
import subprocess
import sys
from pathlib import Path


def test_what_is_spread_over_eight_devices():
    folder = Path(__file__).parent / "sharded"
    environment = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=8"}
    line = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(folder)]
    found = subprocess.run(line, env=environment, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout[-5000:] + found.stderr[-1000:]
