"""Pairs of networks on disjoint training sets of growing size: how runs are grouped, and curves against that size."""

import itertools
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from gahr.analysis.transition import Interval
from gahr.studies.common import Run

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


def nearest_size(sizes: Iterable[int]) -> int:
    """The number of images nearest to 100, where the publication's samples are patchworks."""
    return min(sizes, key=lambda number: abs(math.log(number / 100)))


def repeats(arrays: Mapping[str, np.ndarray]) -> dict[str, list[str]]:
    """Variants of a study that differ in the seed alone, "KIND_repeatR", by kind."""
    found: dict[str, list[str]] = {}
    for variant in map(str, arrays["variants"]):
        found.setdefault(re.sub(r"_repeat\d+$", "", variant), []).append(variant)
    return found


def over_repeats(found: Sequence[Interval]) -> Interval:
    """Of one network its own interval; of several the mean of their values and the range of these."""
    if len(found) == 1:
        return found[0]
    return over_values([each.value for each in found])


def over_values(values: Sequence[Any]) -> Interval:
    """Mean and range of what repeats give; of one alone the value as it is."""
    values = np.stack(values)
    return Interval(values.mean(0), values.min(0), values.max(0))


def without_interval(value: Any) -> Interval:
    """A value that is known as it is."""
    return Interval(value, value, value)


def written(found: Interval, *, digits: str = ".3f") -> str:
    """Words for it: "0.84 (0.81 to 0.86)", or the value alone where the ends read the same."""
    value, low, high = (format(float(number), digits) for number in found)
    return value if value == low == high else f"{value} ({low} to {high})"


def heading(kind: str, variants: Sequence[str]) -> str:
    """Start of the name of a check on the repeats of one kind."""
    return kind if len(variants) == 1 else f"{kind} (mean, range of {len(variants)})"


def draw_against_size(
    axes,
    arrays: Mapping[str, np.ndarray],
    interval_of: Callable[[str], Interval],
    *,
    colour: str,
) -> None:
    """One curve over the set sizes for each kind of variant, with a band: `over_repeats` of intervals (K,).

    The colour says which quantity it is, line and marker which kind.
    """
    for variants, look in zip(repeats(arrays).values(), looks(), strict=False):
        sizes = arrays[f"{variants[0]}/set_sizes"]
        found = over_repeats([interval_of(variant) for variant in variants])
        axes.plot(sizes, found.value, **look, color=colour)
        axes.fill_between(sizes, found.low, found.high, color=colour, alpha=0.2, lw=0)
    axes.set(xscale="log", xlabel="number $N$ of training images")


def draw_legend(figure, arrays: Mapping[str, np.ndarray], colours: Mapping[str, str]) -> None:
    """Below the axes: the colour of each quantity, and line and marker of each kind where there are several."""
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], color=colour, label=words) for words, colour in colours.items()]
    kinds = repeats(arrays)
    if len(kinds) > 1:
        handles += [Line2D([], [], linestyle="", label=" ")] * (len(kinds) - len(handles))  # kinds in a second column
        pairs = zip(kinds, looks(), strict=False)
        handles += [Line2D([], [], **look, color="black", label=label(kind)) for kind, look in pairs]
    figure.legend(handles=handles, loc="outside lower center", ncols=2, handlelength=2.6)


def looks() -> Iterator[dict[str, Any]]:
    """Marker and line of each kind of variant, distinguishable without colour."""
    for marker, line in itertools.cycle(zip("os^Dv", ("-", "--", "-.", ":", (0, (6, 1))), strict=True)):
        yield dict(marker=marker, linestyle=line, markersize=3.5)
