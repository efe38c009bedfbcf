"""Plants known mistakes in a copy of the tree, one at a time, and expects the tests to find each.

    python tests/mutations.py                # all of them
    python tests/mutations.py --only=tails   # those whose names hold a word

Status 0 if every mistake was found. Not one of the tests, since it runs them: by hand, or weekly.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent


class Mutation(NamedTuple):
    """A mistake, and the tests that must find it."""

    file: str
    old: str  # occurs in the file just once
    new: str
    tests: str  # arguments of pytest


MUTATIONS = {
    "a study shows training images as test images": Mutation(
        "gahr/studies/transition.py",
        'images("test", num_images)',
        'images("a", num_images)',
        "tests/test_memorization.py",
    ),
}


def stale() -> list[str]:
    """Names of the mutations whose old text does not occur just once."""
    return [name for name, (file, old, *_) in MUTATIONS.items() if (ROOT / file).read_text().count(old) != 1]


def status(copy: Path, tests: str) -> int:
    """Exit status of pytest in a copy of the tree."""
    line = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests.split()]
    environment = os.environ | {"PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(line, cwd=copy, env=environment, stdout=subprocess.DEVNULL, check=False).returncode


def verdict(copy: Path, mutation: Mutation) -> str:
    """What the tests say of one mutation."""
    path = copy / mutation.file
    text = path.read_text()
    path.write_text(text.replace(mutation.old, mutation.new))
    found = status(copy, mutation.tests)
    path.write_text(text)
    return {0: "NOT CAUGHT", 1: "caught"}.get(found, f"NOT RUN: pytest ended with status {found}")


def main() -> None:
    """Try the mutations that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="part of the names of the mutations to try")
    only = parser.parse_args().only
    chosen = {name: mutation for name, mutation in MUTATIONS.items() if only in name}
    if not chosen or stale():
        sys.exit(f"the old text is not there just once: {'; '.join(stale())}" if stale() else f"no name holds {only!r}")
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "gahr"
        shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".git", ".venv*", "*cache*", "runs"))
        start, verdicts = time.monotonic(), []
        tests = " ".join(sorted({test for mutation in chosen.values() for test in mutation.tests.split()}))
        if status(copy, tests):
            sys.exit(f"the tests fail without any mutation: {tests}")
        for i, (name, mutation) in enumerate(chosen.items(), 1):
            verdicts.append(verdict(copy, mutation))
            elapsed = time.monotonic() - start
            left = elapsed / (i + 1) * (len(chosen) - i)  # the run without mutations counts as one
            print(f"{i}/{len(chosen)} {name}: {verdicts[-1]} | {elapsed:.0f} s, ETA {left:.0f} s", flush=True)
    sys.exit(any(found != "caught" for found in verdicts))


if __name__ == "__main__":
    main()
