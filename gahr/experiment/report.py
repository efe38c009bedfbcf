"""What a run leaves to read: the table of checks, figures, report.md, and TensorBoard events."""

import functools
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from gahr.experiment import storage
from gahr.studies.common import Check


def table(checks: Sequence[Check]) -> str:
    """The checks as a Markdown table whose columns line up."""
    verdict = {True: "yes", False: "NO", None: "-"}
    rows = [("check", "theory", "measured", "mark", "met")]
    rows += [(c.name, c.theory, c.measured, c.mark, verdict[c.met]) for c in checks]
    rows = [tuple(cell.replace("|", "\\|") for cell in row) for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rows.insert(1, tuple("-" * width for width in widths))
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    )


def shortfall(checks: Sequence[Check]) -> str:
    """How many marks are not met, in one line; nothing where all are."""
    met = [check.met for check in checks if check.met is not None]
    return "" if all(met) else f"{met.count(False)} of {len(met)} marks not met"


def states(shares: Mapping[str, float]) -> list[str]:
    """How far runs are, as a table: a row for what stands before the last "_" of their names, a column for the rest.

    Args:
      shares: run name -> share of its training that is done, in [0, 1].
    """
    cells: dict[str, dict[str, str]] = {}
    for name, share in shares.items():
        row, _, column = name.rpartition("_")
        cells.setdefault(row, {})[column] = "trained" if share >= 1 else f"{share:.0%}" if share else "-"
    columns = list(dict.fromkeys(column for row in cells.values() for column in row))
    width = max(len(row) for row in cells) + 2
    lines = ["".ljust(width) + "".join(column.rjust(9) for column in columns)]
    return lines + [
        row.ljust(width) + "".join(found.get(column, "").rjust(9) for column in columns) for row, found in cells.items()
    ]


def write(workdir: Path, config: dict, studies: Sequence[tuple[str, Sequence[Check], Any]]) -> None:
    """Write results.json, figures/NAME.png and .pdf, and report.md, each whole; studies are (name, checks, figure)."""
    figures = workdir / "figures"
    figures.mkdir(exist_ok=True)
    for name, _, figure in studies:
        for kind in ("png", "pdf"):
            save = functools.partial(figure.savefig, format=kind)
            storage.write_whole(figures / f"{name}.{kind}", save)
    title = "+".join(name for name, _, _ in studies)
    results = {
        "study": title,
        "scale": config["scale"],
        "seed": config["seed"],
        "checks": [check._asdict() for _, checks, _ in studies for check in checks],
    }
    storage.write_json(workdir / "results.json", results)
    scale = f"Scale: {config['scale']}. " + ("" if config["scale"] == "paper" else "Smaller than the publication's. ")
    text = f"# {title}\n\n{scale}Repeat with `{storage.present_command()}`.\n"
    for name, checks, _ in studies:
        text += f"\n![{name}](figures/{name}.png)\n\n{table(checks)}\n"
    storage.write_whole(workdir / "report.md", lambda file: file.write(text.encode()))


def tensorboard_writer(directory: Path) -> Callable[[dict], None]:
    """Function that adds a record to the TensorBoard events of a run, or does nothing without tensorboardX."""
    if importlib.util.find_spec("tensorboardX") is None:
        return lambda record: None
    from tensorboardX import SummaryWriter

    writer = SummaryWriter(str(directory), write_to_disk=True)

    def add(record: dict) -> None:
        for name, value in record.items():
            if name != "step":
                writer.add_scalar(name, value, record["step"])
        writer.flush()

    return add
