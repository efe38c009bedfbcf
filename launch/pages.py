"""Builds the pages of the library from its docstrings, and the page of derivations, and checks their links.

    pip install -e '.[docs]' && python launch/pages.py build/pages

Leaves one folder that opens from a file, without network. Fails for a link that leads nowhere, and for a name of gahr
in quotes, in a docstring, the README or the derivations, that there is not.
"""

import importlib
import pkgutil
import re
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import gahr

_ROOT = Path(__file__).parent.parent
_START = """<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark"><title>gahr</title>
<style>body {max-width: 52em; margin: 2em auto; padding: 0 1em; font-family: sans-serif; line-height: 1.5}
pre {overflow-x: auto; padding: .6em; border: 1px solid #8885} td {padding: .2em .8em}</style>
"""


def modules() -> list[str]:
    """Names of gahr and of all that is in it, but for what is run by name."""
    names = [name for _, name, _ in pkgutil.walk_packages(gahr.__path__, "gahr.")]
    return ["gahr", *(name for name in names if not name.endswith("__main__"))]


def build(out: Path) -> None:
    """Writes the pages into a folder."""
    import pdoc
    from pdoc.render_helpers import to_html

    pdoc.render.configure(docformat="google", search=True, show_source=False)
    with warnings.catch_warnings(action="ignore"):  # a package may bring its modules, or only what it exports
        pdoc.pdoc(*modules(), output_directory=out)
    (out / "derivations.html").write_text(_START + to_html((_ROOT / "docs" / "derivations.md").read_text()))
    rows = "".join(f'<tr><td><a href="{link(name)}">{name}</a><td>{_summary(name)}' for name in modules())
    start = '<h1>gahr</h1><p><a href="derivations.html">What the theory says, derived</a><table>'
    (out / "index.html").write_text(f"{_START}{start}{rows}</table>")


def link(name: str) -> str:
    """Page of a module."""
    return name.replace(".", "/") + ".html"


def _summary(name: str) -> str:
    return importlib.import_module(name).__doc__.splitlines()[0]


def broken_links(out: Path) -> Iterator[str]:
    """Links, as "PAGE: LINK", to pages, or to places in pages, that are not in the folder."""
    pages = {path.resolve(): path.read_text() for path in out.rglob("*.html")}
    places = {path: set(re.findall(r'\bid="([^"]*)"', text)) for path, text in pages.items()}
    for path, text in pages.items():
        for target in re.findall(r'<a\b[^>]*\bhref="([^"$]*)"', text):
            page, _, place = target.partition("#")
            if re.match(r"[a-z]+:", target):
                continue
            where = (path.parent / page).resolve() if page else path
            if where not in pages or (place and place not in places[where]):
                yield f"{path.relative_to(out.resolve())}: {target}"


def texts() -> Iterator[tuple[str, str]]:
    """(where, text) of what may name things of gahr."""
    for path in (_ROOT / "README.md", _ROOT / "docs" / "derivations.md", *(_ROOT / "gahr").rglob("*.py")):
        yield str(path.relative_to(_ROOT)), path.read_text()


def unknown_names() -> Iterator[str]:
    """Quoted names of gahr that there are not, as "WHERE: NAME"."""
    for where, text in texts():
        for name in re.findall(r"`(gahr(?:\.\w+)+)[`(]", text):
            if not _exists(name):
                yield f"{where}: {name}"


def _exists(name: str) -> bool:
    thing = gahr
    for i, part in enumerate(name.split(".")[1:], 2):
        if not hasattr(thing, part):
            try:
                importlib.import_module(".".join(name.split(".")[:i]))
            except ImportError:
                return False
        thing = getattr(thing, part)
    return True


def main(out: Path) -> None:
    """Builds, checks, and says what is wrong."""
    build(out)
    wrong = [*broken_links(out), *unknown_names()]
    print("\n".join(wrong) or f"{len(modules())} modules: {out / 'index.html'}")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
