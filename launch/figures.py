"""Fills in the README's table of figures: thumbnails, checks, and what training costs at the publication's scale.

    python launch/figures.py runs/rates runs/link-weights=calpha3 ...

Each run directory fills the row that names the command which made it, and leaves a small copy of a figure in
`docs/thumbnails/`; rows of other commands keep what they have. The cost is counted, not measured: operations of the
networks of the row's first command at scale=paper, as `--dry_run` counts them.
"""

import json
import re
import runpy
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).parent.parent
THUMBNAILS = Path("docs") / "thumbnails"
_TABLE = re.compile(r"(?<=<!-- figures -->\n)(.*?\n.*?\n)(.*?)(?=<!-- /figures -->)", re.DOTALL)
_SIDE, _COLOURS = 320, 20  # of a thumbnail, drawn at half this side
_STATES = {"met": "met", "missed": "missed", "empty": "no finding"}
_RATE = 1e14  # operations a second that hours of an accelerator are quoted at


def rows(readme: str) -> list[list[str]]:
    """Cells (picture, figure, commands, time, checks, paper) of the table between the two marks of a README."""
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in _TABLE.search(readme)[2].splitlines()]


def commands(cell: str) -> list[str]:
    """What follows --config in each command of a cell."""
    return re.findall(r"`(configs/[^`]+)`", cell)


def filled(readme: str, found: Mapping[str, tuple[str, str]]) -> str:
    """The README with pictures and checks where `found`, by command, has them, and all costs."""
    lines = []
    for *kept, _ in rows(readme):
        names = commands(kept[2])
        kept[0], kept[4] = next((found[name] for name in names if name in found), (kept[0], kept[4]))
        lines.append(f"| {' | '.join([*kept, paper(names[0])])} |\n")
    return _TABLE.sub(lambda match: match[1] + "".join(lines), readme)


def config(command: str, **changes: str):
    """The config of a command, with some of the arguments after its colon changed."""
    file, _, arguments = command.partition(":")
    given = dict(part.split("=", 1) for part in filter(None, arguments.split(","))) | changes
    return runpy.run_path(str(ROOT / file))["get_config"](",".join(f"{name}={given[name]}" for name in given))


def paper(command: str) -> str:
    """What it takes to train the networks of a command at scale=paper."""
    from gahr.experiment import estimate, planning

    if "FILE" in command or "weights=" in command:
        return "-"
    planned = planning.plan(config(command, scale="paper"), ROOT / "runs" / "none")
    count, total = len(planned.trainings()), estimate.training_operations(planned)
    return f"{count} network{'s' * (count > 1)}, {estimate.duration(total / _RATE)}" if count else "no training"


def read(workdir: Path) -> tuple[str, tuple[str, str]]:
    """(command, (picture, checks)) of a run directory, whose thumbnail is written.

    Raises:
      ValueError: no config made it, or only some of its runs are drawn.
    """
    from gahr.experiment import report

    line = " ".join(json.loads((workdir / "config.json").read_text())["command"])
    command = re.search(r"--config[= ](\S+)", line)
    if not command or "--only" in line:
        raise ValueError(f"workdir must be all of one config, not {workdir} by {line}")
    figures = sorted((workdir / "figures").glob("*.png"))
    file = next((path for path in figures if path.stem == Path(command[1].partition(":")[0]).stem), figures[-1])
    with Image.open(file) as drawn:
        small = drawn.convert("RGB").crop((0, 0, drawn.width, min(drawn.width, drawn.height)))  # the head of a long one
    small.thumbnail((_SIDE, _SIDE))
    (ROOT / THUMBNAILS).mkdir(exist_ok=True)
    small.quantize(_COLOURS).save(ROOT / THUMBNAILS / file.name, optimize=True)
    checks = map(report.from_data, json.loads((workdir / "results.json").read_text())["checks"])
    states = Counter(map(report.state, checks))
    words = ", ".join(f"{states[each]} {words}" for each, words in _STATES.items() if states[each]) or "no marks"
    picture = f'<img src="{THUMBNAILS / file.name}" width="{_SIDE // 2}" alt="{file.stem}">'
    return re.sub(r"[:,]scale=laptop\b", "", command[1]), (picture, words)


if __name__ == "__main__":
    file = ROOT / "README.md"
    file.write_text(filled(file.read_text(), dict(read(Path(name)) for name in sys.argv[1:])))
