"""The page, from what run directories hold. All text is escaped; nothing in it comes from elsewhere."""

import json
from collections.abc import Mapping, Sequence
from html import escape
from importlib import metadata, resources
from string import Template

from gahr.experiment import report
from gahr.experiment.gallery.bases import FLOOR, HEIGHT, KINDS, MARGIN, WIDTH, Basis
from gahr.experiment.gallery.collect import Animation, Found
from gahr.studies.shared.study import Check, mean_of

_CURVES = {  # of the two plots: names of curves
    "factors": {"singular": "singular values", "eigen": "eigenvalues, symmetric part"},
    "energy beyond": {"own": "image of this basis", "others": "other images, mean"},
}


def render(found: Sequence[Found], *, title: str = "Gallery of runs") -> str:
    """HTML of a page of run directories, without any address outside of it."""
    asset = lambda name: resources.files(__package__).joinpath("assets", name).read_text()
    return Template(asset("page.html")).substitute(
        title=escape(title),
        style=asset("page.css"),
        script=asset("page.js"),
        version=escape(metadata.version("gahr")),
        rows="\n".join(_row(number, each) for number, each in enumerate(found)),
        options="".join(f'<option value="run{i}">{escape(each.name)}</option>' for i, each in enumerate(found)),
        articles="\n".join(_article(number, each) for number, each in enumerate(found)),
    )


def _marks(checks: Sequence[Check]) -> str:
    marked = sum(check.met is not None for check in checks)
    return report.shortfall(checks) or (f"all {marked} met" if marked else "none set")


def _row(number: int, each: Found) -> str:
    link = f'<a href="#run{number}">{escape(each.name)}</a>'
    cells = "".join(f"<td>{escape(text)}</td>" for text in (each.study, each.scale, _marks(each.checks)))
    return f'<tr><th scope="row">{link}</th>{cells}</tr>'


def _article(number: int, each: Found) -> str:
    name = f"run{number}"
    parts = [
        f"<p>Study {escape(each.study)}, {escape(each.scale)} scale, seed {each.seed}. Marks: "
        f"{escape(_marks(each.checks))}.</p>",
        *(_figure(each, figure, address) for figure, address in each.figures.items()),
        *(_viewer(f"{name}-basis{i}", basis) for i, basis in enumerate(each.bases)),
        *(_player(f"{name}-path{i}", path) for i, path in enumerate(each.animations)),
        _table(each.checks),
        _made(each),
    ]
    head = f'<h2 id="{name}-title">{escape(each.name)}</h2>'
    return (
        f'<article id="{name}" aria-labelledby="{name}-title" tabindex="-1">{head}\n' + "\n".join(parts) + "</article>"
    )


def _figure(each: Found, figure: str, address: str) -> str:
    alt = escape(f"Figure {figure} of {each.name}; its numbers are in the table of checks")
    return f'<figure class="sheet"><img src="{address}" alt="{alt}"><figcaption>{escape(figure)}</figcaption></figure>'


def _table(checks: Sequence[Check]) -> str:
    columns = ("check", "theory", "measured", "nulls", "mark", "met")
    head = "".join(f'<th scope="col">{column}</th>' for column in columns)
    rows = "\n".join(map(_check, checks))
    return (
        f'<div class="scroll" role="region" aria-label="Checks" tabindex="0"><table class="checks">\n'
        f"<caption>Theory beside measurement; nulls know nothing of the image at hand</caption>\n"
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}\n</tbody></table></div>"
    )


def _check(check: Check) -> str:
    nulls = "<br>".join(escape(f"{name} {mean_of(value):.4g}") for name, value in check.nulls.items()) or "-"
    state = report.state(check)
    theory, measured, mark = map(
        escape, (report.words(check.theory), report.words(check.measured), report.mark_words(check))
    )
    body = f'<td>{theory}</td><td>{measured}</td><td class="nulls">{nulls}</td><td>{mark}</td>'
    verdict = f'<td class="{state}">{escape(report.verdict(check))}</td>'
    return f'<tr><th scope="row">{escape(check.name)}</th>{body}{verdict}</tr>'


def _made(each: Found) -> str:
    about = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in each.about.items())
    cost = "".join(f"<li>{escape(line)}</li>" for line in each.cost) or "<li>not recorded</li>"
    return (
        f"<h3>How to repeat</h3>\n<pre><code>{escape(each.command)}</code></pre>\n"
        f"<h3>Cost</h3>\n<ul>{cost}</ul>\n"
        f"<details><summary>Versions and devices</summary><dl>{about}</dl></details>\n"
        f"<details><summary>Config</summary><pre><code>{escape(each.config)}</code></pre></details>"
    )


def _viewer(name: str, basis: Basis) -> str:
    last, first = len(basis.numbers) - 1, basis.at[0]
    kinds = [kind for kind in KINDS if kind in first.vectors]
    radios = "".join(
        f'<label><input type="radio" name="{name}-at" value="{j}"{" checked" * (j == 0)}> {j + 1}</label>'
        for j in range(len(basis.at))
    )
    vectors = _pictures({KINDS[kind]: (kind, first.vectors[kind][0]) for kind in kinds})
    stages = {kind: (kind, address) for kind, address in basis.images.items()}
    stages[f"image 1 on {basis.size // 16} left vectors"] = ("projection", first.projection)
    missing = "" if "right" in kinds else "<p>This analysis is from before right vectors were kept.</p>"
    factors, beyond = (_plot(title, curves, basis) for title, curves in _CURVES.items())
    return (
        f'<section class="viewer" id="{name}" aria-labelledby="{name}-title">\n'
        f'<h3 id="{name}-title">Basis of {escape(basis.name)}, noise {basis.sigma:g} of intensities in 0 to 1</h3>\n'
        f'<div class="plots">{factors}{beyond}</div>\n'
        f'<p><label>Vector <input type="range" min="0" max="{last}" value="0"></label> <output aria-live="polite">'
        f"</output></p>\n<fieldset><legend>Swap: basis at image</legend>{radios}</fieldset>\n"
        f'<div class="pictures">{vectors}</div>{missing}\n<div class="pictures">{_pictures(stages)}</div>\n'
        f"<p>Grey is 0 in vectors. Swapped, image 1 is projected on the vectors of another image's Jacobian; a fixed "
        f"filter, however good, has one basis, and swapping it changes nothing.</p>\n"
        f"{_data(basis._asdict() | {'at': [at._asdict() for at in basis.at]})}</section>"
    )


def _plot(title: str, curves: Mapping[str, str], basis: Basis) -> str:
    """An SVG of two curves, which the script moves; a click or the pointer picks the nearest vector."""
    right, bottom = WIDTH - MARGIN, HEIGHT - MARGIN
    lines = "".join(
        f'<polyline class="{kind}" points="{basis.at[0].curves[kind]}"/>'
        f'<text class="{kind}" x="{right}" y="{MARGIN - 18 + 12 * i}" text-anchor="end">{escape(label)}</text>'
        for i, (kind, label) in enumerate(curves.items())
    )
    ends = ("1", f"{FLOOR:.0e}".replace("e-0", "e-")) if title == "energy beyond" else (f"{basis.highest:.2g}", "0")
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)} against number of the vector">'
        f'<path class="axis" d="M{MARGIN} {MARGIN}V{bottom}H{right}"/><text x="{MARGIN}" y="14">{escape(title)}</text>'
        f'<text x="{MARGIN - 4}" y="{MARGIN + 4}" text-anchor="end">{ends[0]}</text>'
        f'<text x="{MARGIN - 4}" y="{bottom + 4}" text-anchor="end">{ends[1]}</text>'
        f'<text x="{MARGIN}" y="{bottom + 16}">1</text><text x="{WIDTH / 2}" y="{bottom + 16}" text-anchor="middle">'
        f'number k, logarithmic</text><text x="{right}" y="{bottom + 16}" text-anchor="end">{basis.size}</text>'
        f'{lines}<line class="at" x1="{MARGIN}" x2="{MARGIN}" y1="{MARGIN}" y2="{bottom}"/></svg>'
    )


def _pictures(named: Mapping[str, tuple[str, str]]) -> str:
    """Small pictures (role, address) under their captions."""
    return "".join(
        f'<figure><img data-role="{role}" src="{address}" alt="{escape(caption)}"><figcaption>{escape(caption)}'
        f"</figcaption></figure>"
        for caption, (role, address) in named.items()
    )


def _player(name: str, path: Animation) -> str:
    last = len(path.frames) - 1
    return (
        f'<section class="player" id="{name}" aria-labelledby="{name}-title"><h3 id="{name}-title">Path: '
        f'{escape(path.name)}</h3>\n<img src="{path.frames[0]}" alt="{escape(f"Path {path.name}, one frame")}">\n'
        f'<p><button type="button">Play</button> <label>Frame <input type="range" min="0" max="{last}" value="0">'
        f"</label> <output></output></p>\n{_data({'frames': path.frames})}</section>"
    )


def _data(values: Mapping) -> str:
    """Values for the script, in which nothing can end the element."""
    return f'<script type="application/json">{json.dumps(values).replace("<", chr(92) + "u003c")}</script>'
