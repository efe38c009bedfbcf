"""Pairs of networks on disjoint training sets of growing size: how runs are grouped, and curves against that size.

The networks of one variant and one repeat are a family. What is found out about it stands in the arrays of a study as
"FAMILY/quantity"; the arrays "families" and "kinds" list the families and, in parallel, the variant of each.
"""

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gahr.analysis.transition import Interval
from gahr.studies.shared.study import Arrays, Estimate, Number, Run, Runs
from gahr.types import Array

Families = dict[str, dict[int, tuple[Run, Run]]]  # family -> N, which rises -> networks of the subsets a and b


def families(runs: Runs) -> tuple[Families, dict[str, np.ndarray]]:
    """Runs by variant and repeat, then by number of training images; and the arrays "families" and "kinds".

    Raises:
      ValueError: two runs of one variant, repeat, N and subset, or an N with one subset only.
    """
    groups: dict[str, dict[int, dict[int, dict[str, Run]]]] = {}
    for name, run in runs.items():
        sizes = groups.setdefault(run.variant or "networks", {}).setdefault(run.repeat, {})
        if run.subset in sizes.setdefault(run.set_size, {}):
            raise ValueError(f"{name} must differ from other runs in variant, repeat, set_size or subset")
        sizes[run.set_size][run.subset] = run
    found, kinds = {}, []
    for kind, repeated in groups.items():
        for repeat, pairs in repeated.items():
            family = kind if len(repeated) == 1 else f"{kind}, repeat {repeat}"
            for number, pair in pairs.items():
                if set(pair) != {"a", "b"}:
                    raise ValueError(f"{family} needs networks of the subsets a and b at N = {number}")
            found[family] = {number: (pairs[number]["a"], pairs[number]["b"]) for number in sorted(pairs)}
            kinds.append(kind)
    return found, {"families": np.array(list(found)), "kinds": np.array(kinds)}


def family_arrays(family: str, sizes: Sequence[int], rows: Sequence[Mapping[str, Array]]) -> dict[str, Array]:
    """Arrays "FAMILY/quantity" (K, ...) from what was found at each of its numbers of images, and set_sizes (K,)."""
    stacked = jax.tree.map(lambda *values: jnp.stack(values), *rows) | {"set_sizes": np.array(sizes)}
    return {f"{family}/{quantity}": value for quantity, value in stacked.items()}


def repeats(arrays: Arrays) -> dict[str, list[str]]:
    """Families that differ in the repeat alone, by kind."""
    found: dict[str, list[str]] = {}
    for kind, family in zip(arrays["kinds"], arrays["families"], strict=True):
        found.setdefault(str(kind), []).append(str(family))
    return found


def of_all(arrays: Arrays, names: Sequence[str], quantity: str) -> np.ndarray:
    """A quantity of several families (R, ...)."""
    return np.stack([arrays[f"{name}/{quantity}"] for name in names])


def nearest_size(sizes: Iterable[int]) -> int:
    """The number of images nearest to 100, where the publication's samples are patchworks."""
    return min(sizes, key=lambda number: abs(math.log(number / 100)))


def over_repeats(found: Sequence[Interval]) -> Interval:
    """Of one network its own interval; of several the mean of their values and the range of these."""
    return found[0] if len(found) == 1 else over_values([each.value for each in found])


def over_values(values: Sequence[Any]) -> Interval:
    """Mean and range of what repeats give; of one alone the value as it is."""
    values = np.stack(values)
    return Interval(values.mean(0), values.min(0), values.max(0))


def estimate(found: Interval, *, k: int | tuple = ()) -> Number:
    """What a check holds of an interval, or of number k of several: its value alone where the ends are the same."""
    value, low, high = (float(np.asarray(values)[k]) for values in found)
    return value if low == high else Estimate(value, low=low, high=high)


def heading(kind: str, names: Sequence[str]) -> str:
    """Start of the name of a check on the repeats of one kind."""
    return kind if len(names) == 1 else f"{kind} (mean, range of {len(names)})"


def draw_against_size(axes, arrays: Arrays, found: Mapping[str, Interval], *, colour: str) -> None:
    """One curve over the set sizes for each kind, whose intervals (K,) are the bands.

    The colour says which quantity it is, line and marker which kind.
    """
    for (kind, names), look in zip(repeats(arrays).items(), looks(), strict=False):
        sizes = arrays[f"{names[0]}/set_sizes"]
        axes.plot(sizes, found[kind].value, **look, color=colour)
        axes.fill_between(sizes, found[kind].low, found[kind].high, color=colour, alpha=0.2, lw=0)
    axes.set(xscale="log", xlabel="number $N$ of training images")


def draw_legend(figure, kinds: Iterable[str], colours: Mapping[str, str]) -> None:
    """Below the axes: the colour of each quantity, and line and marker of each kind where there are several."""
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], color=colour, label=words) for words, colour in colours.items()]
    shown = [Line2D([], [], **look, color="black", label=kind) for kind, look in zip(kinds, looks(), strict=False)]
    if len(shown) > 1:
        handles += [Line2D([], [], linestyle="", label=" ")] * (len(shown) - len(handles))  # kinds in a second column
        handles += shown
    figure.legend(handles=handles, loc="outside lower center", ncols=2, handlelength=2.6)


def looks() -> Iterator[dict[str, Any]]:
    """Marker and line of each kind, distinguishable without colour."""
    for marker, line in itertools.cycle(zip("os^Dv", ("-", "--", "-.", ":", (0, (6, 1))), strict=True)):
        yield dict(marker=marker, linestyle=line, markersize=3.5)
