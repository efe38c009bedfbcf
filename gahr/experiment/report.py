"""What a run leaves to read: the table of checks, figures, report.md, and TensorBoard events."""

import functools
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gahr.experiment import storage
from gahr.experiment.planning import Plan
from gahr.studies.shared.study import Above, AtLeast, AtMost, Between, Check, Estimate, Values, mean_of

_SIGNS = {AtLeast: ">=", Above: ">", AtMost: "<="}
_KINDS = {kind.__name__: kind for kind in (AtLeast, Above, AtMost, Between)}
_NOT_FINITE = ("nan", "inf", "-inf")  # as JSON holds them


def words(values: Values | str | None) -> str:
    """Numbers in words: "0.775 +- 0.004", "0.84 (0.81 to 0.86)", "1.2, 3.4" or "contour 0.71, background 0.67"."""
    if values is None:
        return "-"
    if isinstance(values, str):
        return values
    if isinstance(values, Mapping):
        return ", ".join(f"{name} {words(value)}" for name, value in values.items())
    if isinstance(values, Estimate):
        return _estimate(*values)
    if np.ndim(values):
        return ", ".join(map(words, values)) or "none"
    return f"{float(values):.4g}"


def _estimate(mean: float, error: float | None, low: float | None, high: float | None) -> str:
    text = f"{mean:.4g}"
    if error is not None and math.isfinite(error) and error > 0:
        digits = max(0, 1 - math.floor(math.log10(error)))  # two of the error
        fixed = 1e-4 < error < 1e4 and digits < 7
        text = f"{mean:.{digits}f} +- {error:.{digits}f}" if fixed else f"{mean:.4g} +- {error:.2g}"
    if low is None:
        return text
    ends = f"{low:.4g} to {high:.4g}"
    return text if f"{low:.4g}" == f"{high:.4g}" == f"{mean:.4g}" else f"{text} ({ends})"


def mark_words(check: Check) -> str:
    """The mark of a check: ">= 0.9", or "0.67 to 0.83"."""
    if check.met is None:
        return "-"
    limit, sign = check.mark.limit, _SIGNS.get(type(check.mark))
    return f"{sign} {limit:.4g}" if sign else "{:.4g} to {:.4g}".format(*limit)


def verdict(check: Check) -> str:
    """Whether the mark of a check is met, and which nulls meet it as well: what all of them meet is no finding."""
    if not check.met:
        return "-" if check.met is None else "NO"
    if not check.finding:
        return "by every null too: no finding"
    return "; also ".join(filter(None, ["yes", ", ".join(check.met_by)]))


def state(check: Check) -> str:
    """One of "met", "missed", "empty" for a mark that every null meets too, and "none" for a line without a mark."""
    return "none" if check.met is None else "missed" if not check.met else "met" if check.finding else "empty"


def table(checks: Sequence[Check]) -> str:
    """The checks as a Markdown table whose columns line up."""
    rows = [("check", "theory", "measured", "nulls", "mark", "met")]
    for c in checks:
        nulls = {name: mean_of(value) for name, value in c.nulls.items()}
        rows.append((c.name, words(c.theory), words(c.measured), words(nulls or None), mark_words(c), verdict(c)))
    rows = [tuple(cell.replace("|", "\\|") for cell in row) for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rows.insert(1, tuple("-" * width for width in widths))
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    )


def as_data(check: Check) -> dict:
    """A check as JSON values: numbers as numbers, an Estimate by its fields, the mark by its kind and limit."""

    def plain(value: Any) -> Any:
        if isinstance(value, Estimate):
            return {name: plain(part) for name, part in value._asdict().items() if part is not None}
        if isinstance(value, Mapping):
            return {name: plain(part) for name, part in value.items()}
        if value is None or isinstance(value, str):
            return value
        if np.ndim(value):
            return [plain(part) for part in value]
        number = float(value)
        return number if math.isfinite(number) else str(number)  # JSON has no infinity

    mark = None if check.met is None else {"kind": type(check.mark).__name__, "limit": plain(check.mark.limit)}
    values = {name: plain(getattr(check, name)) for name in ("theory", "measured", "nulls")}
    return {"name": check.name, **values, "mark": mark, "met": check.met, "met_by": list(check.met_by)}


def from_data(data: Mapping[str, Any]) -> Check:
    """The check that `as_data` made JSON values of."""

    def number(value: Any) -> Any:
        if isinstance(value, Mapping):
            parts = {name: number(part) for name, part in value.items()}
            return Estimate(**parts) if "mean" in parts and parts.keys() <= set(Estimate._fields) else parts
        if isinstance(value, list):
            return [number(part) for part in value]
        return float(value) if value in _NOT_FINITE else value

    mark = _KINDS[data["mark"]["kind"]](number(data["mark"]["limit"])) if data["mark"] else None
    values = {name: number(data[name]) for name in ("theory", "measured", "nulls")}
    return Check(data["name"], mark=mark, **values)


def shortfall(checks: Sequence[Check]) -> str:
    """How many marks are not met, or met by every null as well, in one line; nothing where all are findings."""
    found = Counter(map(state, checks))
    missed, empty, marked = found["missed"], found["empty"], len(checks) - found["none"]
    words = [f"{missed} of {marked} marks not met"] * (missed > 0) + [f"{empty} met by every null"] * (empty > 0)
    return ", ".join(words)


def states(planned: Plan) -> list[str]:
    """How far runs are, as a table: a row for each variant, repeat and number of images, a column for each subset."""
    rows: dict[str, dict[str, str]] = {}
    for name, parts in planned.runs.items():
        run, share = parts.section, planned.share_done(name)
        repeat = f"repeat {run['repeat']}" if run["repeat"] else ""
        row = ", ".join(filter(None, [run["variant"], repeat, f"N = {run['set_size']:,}"]))
        rows.setdefault(row, {})[run["subset"]] = "trained" if share >= 1 else f"{share:.0%}" if share else "-"
    columns = list(dict.fromkeys(column for row in rows.values() for column in row))
    width = max(map(len, rows)) + 2
    lines = ["".ljust(width) + "".join(column.rjust(9) for column in columns)]
    return lines + [
        row.ljust(width) + "".join(found.get(column, "").rjust(9) for column in columns) for row, found in rows.items()
    ]


def title(planned: Plan) -> str:
    """What was trained, for the figure; nothing where nothing was."""
    if not planned.runs:
        return ""
    runs = planned.runs.values()
    shapes = dict.fromkeys("{}x{}".format(*parts.dataset.shape) for parts in runs)
    features = dict.fromkeys(str(getattr(parts.model, "features", "")) for parts in runs)
    words = [f"{' and '.join(shapes)} images"]
    if all(features):
        words.append(f"{' and '.join(features)} features")
    if all(parts.weights for parts in runs):
        words.append("weights of " + ", ".join(Path(parts.weights).stem for parts in runs))
    elif planned.config["scale"] != "paper":
        words.append(f"{planned.config['scale']} scale")
    return ", ".join(words)


def write(workdir: Path, config: dict, studies: Sequence[tuple[str, Sequence[Check], Any]]) -> None:
    """Write results.json, figures/NAME.png and .pdf, and report.md, each whole; studies are (name, checks, figure)."""
    figures = workdir / "figures"
    figures.mkdir(exist_ok=True)
    for name, _, figure in studies:
        for kind in ("png", "pdf"):
            save = functools.partial(figure.savefig, format=kind)
            storage.write_whole(figures / f"{name}.{kind}", save)
    names = "+".join(name for name, _, _ in studies)
    results = {
        "study": names,
        "scale": config["scale"],
        "seed": config["seed"],
        "checks": [as_data(check) for _, checks, _ in studies for check in checks],
    }
    storage.write_json(workdir / "results.json", results)
    scale = f"Scale: {config['scale']}. " + ("" if config["scale"] == "paper" else "Smaller than the publication's. ")
    text = f"# {names}\n\n{scale}Repeat with `{storage.present_command()}`.\n"
    for name, checks, _ in studies:
        text += f"\n![{name}](figures/{name}.png)\n\n{table(checks)}\n"
    storage.write_whole(workdir / "report.md", lambda file: file.write(text.encode()))


def tensorboard_writer(directory: Path) -> Callable[[dict], None]:
    """Function that adds a record to the TensorBoard events of a run, or does nothing without tensorboardX."""
    try:
        from tensorboardX import SummaryWriter
    except ModuleNotFoundError:
        return lambda record: None
    writer = SummaryWriter(str(directory), write_to_disk=True)

    def add(record: dict) -> None:
        for name, value in record.items():
            if name != "step":
                writer.add_scalar(name, value, record["step"])
        writer.flush()

    return add
