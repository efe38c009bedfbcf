"""Run directories of earlier formats."""

from typing import Any

VERSION = 2


def upgraded(record: dict[str, Any]) -> dict[str, Any]:
    """The content of a config.json of any format, in the present one.

    1 -> 2: the section `noise` became `objective`, with a name, and `optim` has a name too; `subset` and `set_size`
    stand beside the sections; runs say in what they differ.

    Raises:
      ValueError: a format that is not known.
    """
    version = record.get("version", 1)
    if version not in (1, VERSION):
        raise ValueError(f"format version {version} is not known; the newest here is {VERSION}")
    if version == 1:
        runs = {name: _from_1(dict(run)) for name, run in record["config"]["runs"].items()}
        record = record | {"version": VERSION, "config": record["config"] | {"runs": runs}}
    return record


def _from_1(run: dict[str, Any]) -> dict[str, Any]:
    if "data" not in run:  # published weights
        return run
    data = dict(run["data"])
    return {
        "variant": "",
        "repeat": 0,
        "subset": data.pop("subset"),
        "set_size": data.pop("set_size"),
        "data": data,
        "model": run["model"],
        "objective": {"name": "denoising", **run["noise"]},
        "optim": {"name": "adam", **run["optim"]},
    }
