"""The files of a run directory, each complete or absent."""

import contextlib
import fcntl
import hashlib
import json
import os
import platform
import re
import shlex
import sys
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import IO, Any

from gahr.experiment import upgrade

_PACKAGES = ("gahr", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "ml-collections", "matplotlib")
# may differ when resumed
_FREE = re.compile(r"study\.|checkpoint_seconds|milestones|scale_reason|runs\.\w+\.(variant|repeat) ")


def write_whole(path: Path, write: Callable[[IO[bytes]], None]) -> None:
    """Call `write` on a binary file that takes the name `path` only when it is complete."""
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")  # its own, where several processes write
    try:
        with open(partial, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


@contextlib.contextmanager
def alone(directory: Path, *, otherwise: str) -> Iterator[None]:
    """Make a directory and hold it; the system lets go of it even where this process is killed.

    Raises:
      ValueError: another process holds it; the message is `otherwise`.
    """
    directory.mkdir(parents=True, exist_ok=True)
    with open(directory / "lock", "wb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(otherwise) from None
        except OSError:  # a file system without locks
            pass
        yield


def digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file, whole or not at all."""
    text = json.dumps(value, indent=2, default=float) + "\n"
    write_whole(path, lambda file: file.write(text.encode()))


def append_json_line(path: Path, value: dict) -> None:
    """Append one record, in one write."""
    with open(path, "a") as file:
        file.write(json.dumps(value, default=float) + "\n")


def json_lines(path: Path) -> list[dict]:
    """The records with a "step" of a file of JSON lines, up to one that was cut short when the run was killed."""
    records: list[dict] = []
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            record = json.loads(line)
            record["step"]
        except (ValueError, KeyError):
            break
        records.append(record)
    return records


def drop_json_lines_after(path: Path, step: int) -> None:
    """Keep the records of steps up to `step`: those that a resumed run will not write again."""
    if path.exists():
        kept = "".join(json.dumps(record) + "\n" for record in json_lines(path) if record["step"] <= step)
        write_whole(path, lambda file: file.write(kept.encode()))


def describe_machine() -> dict:
    """Versions, devices and command, for config.json."""
    import jax  # slow, and needed for nothing else here

    return {
        "command": sys.argv,
        "python": platform.python_version(),
        "versions": {name: metadata.version(name) for name in _PACKAGES},
        "devices": [str(device) for device in jax.devices()],
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
    }


def present_command() -> str:
    """The command that is running, without what a repetition does not need: --progress, --debug, --only but to draw."""
    left_out = {"progress", "debug", "nodebug"} | ({"only"} if "--draw" not in sys.argv else set())
    kept, words = [], iter(sys.argv)
    for word in words:
        option, equals, _ = word.partition("=")
        option = option.lstrip("-") if word.startswith("-") else ""
        if option in left_out & {"only", "progress"} and not equals:
            next(words, None)
        if option not in left_out:
            kept.append(word)
    return shlex.join(["python", *kept])


def claim(workdir: Path, config: dict) -> None:
    """Make `workdir` the directory of this config, or check that it already is.

    What does not change the trained networks (study, checkpoint_seconds, milestones, scale_reason, variant, repeat) may
    differ.

    Raises:
      ValueError: the directory holds something else, or was made from another config; the message names the
        fields that differ.
      OSError: it cannot be written.
    """
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        probe = workdir / f".probe{os.getpid()}"
        probe.touch()
        probe.unlink(missing_ok=True)
    except OSError as error:
        raise OSError(f"run directory {workdir} cannot be written: {error.strerror}") from error
    if not matches(workdir, config):
        write_json(workdir / "config.json", {"version": upgrade.VERSION, "config": config, **describe_machine()})


def matches(workdir: Path, config: dict) -> bool:
    """Whether `workdir` is the directory of just this config; False where it can become so. Writes nothing.

    Raises:
      ValueError: as `claim`.
    """
    if not workdir.exists():
        return False
    foreign = [path for path in workdir.iterdir() if not path.match(".probe*") and path.suffix != ".partial"]
    if (workdir / "config.json").exists():  # asked after the listing, since another process may just make it
        before = read_config(workdir)["config"]
        differences = _differences(before, config)
        blocking = [line for line in differences if not _FREE.match(line)]
        if blocking:
            raise ValueError(
                f"{workdir} was made from another config: {'; '.join(blocking)}. Use another --workdir, or that config"
            )
        return not differences
    if foreign:
        raise ValueError(f"{workdir} is not empty and is not a run directory; give another --workdir")
    return False


def read_config(workdir: Path) -> dict:
    """Content of config.json.

    Raises:
      ValueError: `workdir` is not a run directory.
    """
    try:
        return upgrade.upgraded(json.loads((Path(workdir) / "config.json").read_text()))
    except (OSError, ValueError) as error:
        raise ValueError(f"{workdir} is not a run directory: {error}") from error


def _differences(before: dict, now: dict) -> list[str]:
    # through JSON, since tuples come back as lists
    before, now = (_by_path(json.loads(json.dumps(tree))) for tree in (before, now))
    return [
        f"{name} was {before.get(name, 'absent')}, is {now.get(name, 'absent')}"
        for name in sorted(before | now)
        if before.get(name, ...) != now.get(name, ...)
    ]


def _by_path(tree: dict, prefix: str = "") -> dict[str, Any]:
    """Values of nested dictionaries by names such as "runs.alpha3.subset"."""
    found: dict[str, Any] = {}
    for name, value in tree.items():
        found |= _by_path(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return found
