"""Pairs of networks on disjoint training sets of growing size: how runs are grouped, and curves against that size."""

import re
from collections.abc import Callable, Mapping

import numpy as np

from gahr.studies.common import COLOURS, Run

Families = dict[str, dict[int, tuple[Run, Run]]]  # variant -> N -> networks of subsets a and b


def families(runs: Mapping[str, Run]) -> Families:
    """Runs named "VARIANT_nN_SUBSET" by variant and number of training images, which rises.

    Raises:
      ValueError: an N with one subset only.
    """
    found: dict[str, dict[int, dict[str, Run]]] = {}
    for name, run in runs.items():
        variant = name.rsplit("_", 2)[0]
        found.setdefault(variant, {}).setdefault(run.data["set_size"], {})[run.data["subset"]] = run
    for variant, pairs in found.items():
        for number, pair in pairs.items():
            if set(pair) != {"a", "b"}:
                raise ValueError(f"{variant} needs networks of the subsets a and b at N = {number}")
    return {
        variant: {number: (pairs[number]["a"], pairs[number]["b"]) for number in sorted(pairs)}
        for variant, pairs in found.items()
    }


def label(variant: str) -> str:
    """Words for a name such as size20_features32: "size 20, features 32"."""
    return re.sub(r"(\d+)", r" \1", variant).replace("_", ", ")


def draw_against_size(
    axes,
    arrays: Mapping[str, np.ndarray],
    values_of: Callable[[str], np.ndarray],
    *,
    style: str = "o-",
    name: str = "",
    colour: str = COLOURS[0],
) -> None:
    """One curve of values (K,) per variant over the set sizes; variants differ in colour, repeats do not.

    The colour given is for a single variant.
    """
    variants = [str(variant) for variant in arrays["variants"]]
    kinds = [variant.partition("_repeat")[0] for variant in variants]
    colours = dict(zip(dict.fromkeys(kinds), COLOURS * len(kinds), strict=False))
    for i, (variant, kind) in enumerate(zip(variants, kinds, strict=True)):
        words = ", ".join(filter(None, (name, label(kind) if len(colours) > 1 else "")))
        axes.plot(
            arrays[f"{variant}/set_sizes"],
            values_of(variant),
            style,
            ms=3,
            color=colours[kind] if len(colours) > 1 else colour,
            label=words if kind not in kinds[:i] else "",
        )
    axes.set(xscale="log", xlabel="number $N$ of training images")
    if axes.get_legend_handles_labels()[1]:
        axes.legend()
