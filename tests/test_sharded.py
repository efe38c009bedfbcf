"""The tests of `sharded/`, which need eight devices and so a process of their own."""

from conftest import ROOT, python


def test_what_is_spread_over_eight_devices():
    options = ["-q", "-p", "no:cacheprovider", "-n", "0", ROOT / "tests" / "sharded"]
    found = python("-m", "pytest", *options, XLA_FLAGS="--xla_force_host_platform_device_count=8")
    assert found.returncode == 0, found.stdout[-5000:] + found.stderr[-1000:]
