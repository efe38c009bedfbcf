"""Makes the notebooks of `colab/`, each from the percent script of its name.

    pip install -e '.[test]' && python launch/notebooks.py

To every script come the badge that opens the notebook in Colab, below its heading, and as second cell the installation.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = "gahr/gahr"  # on GitHub
BRANCH = "main"
FOLDER = Path(__file__).parent.parent / "colab"
_INSTALL = f"""# JAX stays as it is, such as Colab's own for this machine: pip may not change what keep.txt pins.
# Without that, the newest flax would bring the newest JAX.
# gahr needs JAX 0.10 or newer. Where it is older, pip reports a conflict and installs nothing: take a newer runtime.
!pip list --format=freeze | grep -i ^jax > keep.txt
%pip install --quiet --constraint keep.txt git+https://github.com/{REPOSITORY}"""


def sources() -> list[Path]:
    """The percent scripts."""
    return sorted(FOLDER.glob("*.py"))


def notebook(source: Path) -> str:
    """The notebook of a percent script, as JSON: the same each time, and without outputs."""
    import jupytext  # here, so that reading the script's name needs no extra
    import nbformat

    made = jupytext.reads(source.read_text(), fmt="py:percent")
    heading, _, rest = made.cells[0].source.partition("\n")
    made.cells[0].source = f"{heading}\n\n{_badge(source.stem)}\n{rest}"
    made.cells.insert(1, nbformat.v4.new_code_cell(_INSTALL))
    for number, cell in enumerate(made.cells):
        cell.id = f"cell-{number}"
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    made.metadata = nbformat.from_dict({"kernelspec": kernel, "language_info": {"name": "python"}})
    return nbformat.writes(made) + "\n"


def stale() -> Iterator[str]:
    """Names of notebooks that are not what their scripts make, or have none."""
    made = {source.with_suffix(".ipynb"): notebook(source) for source in sources()}
    for path in sorted(made.keys() | set(FOLDER.glob("*.ipynb"))):
        if not path.exists() or path.read_text() != made.get(path):
            yield path.name


def _badge(name: str) -> str:
    page = f"https://colab.research.google.com/github/{REPOSITORY}/blob/{BRANCH}/colab/{name}.ipynb"
    return f"[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]({page})"


def main(argv: list[str]) -> None:
    if argv:
        sys.exit(f"unexpected argument {argv[0]!r}")
    for source in sources():
        source.with_suffix(".ipynb").write_text(notebook(source))
        print(source.with_suffix(".ipynb").name)


if __name__ == "__main__":
    main(sys.argv[1:])
