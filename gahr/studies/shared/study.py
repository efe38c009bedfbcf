"""What a study is made of, what it is given and what it says: `Study`, `Run`, `Check` with its numbers and marks."""

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from gahr.types import Array, Denoiser, NoiseDenoiser


class Study(NamedTuple):
    """One figure."""

    analyze: Callable  # options -> function (runs, key, *, progress, sharding=None) -> {name: array}
    check: Callable  # ({name: array}, **marks) -> list of Check: theory, measurement and null
    draw: Callable  # ({name: array}, *, title) -> matplotlib Figure


class Run(NamedTuple):
    """A trained network and its images."""

    denoiser: Denoiser | None  # None where the network is told sigma
    noise_denoiser: NoiseDenoiser
    images: Callable[[str, int], Array]  # (subset, number) -> at most that many images (N, H, W, C)
    data: Mapping[str, Any]  # name and keyword arguments of its image set
    subset: str = "a"  # that it was trained on
    set_size: int = 1  # number of distinct training images
    variant: str = ""  # in words, what sets it apart from runs that differ in subset, set_size and repeat alone
    repeat: int = 0  # number of the repetition, with initial values and noise of its own
    initial: NoiseDenoiser | None = None  # the same network before training; None where it is not known
    passes: float = 0.0  # times that training drew each of its images, in the mean; 0 where it is not known
    sigma_min: float = 0.0  # least noise level of its training, image units
    stages: Mapping[int, Callable[[], NoiseDenoiser]] = MappingProxyType({})  # images drawn -> function that reads it


Runs = Mapping[str, Run]
Arrays = Mapping[str, np.ndarray]  # what an analysis finds, by name
Limit = float | None  # of a mark; None asks for none


class Estimate(NamedTuple):
    """A measured number, and what is known of its error."""

    mean: float
    error: float | None = None  # standard error
    low: float | None = None  # lower end of an interval or range
    high: float | None = None  # upper end


Number = float | Estimate
Values = Number | Sequence[Number] | Mapping[str, Number]


def mean_of(number: Number) -> float:
    """The number itself, of an estimate its mean."""
    return float(number.mean if isinstance(number, Estimate) else number)


class AtLeast(NamedTuple):
    """Mark that a value must reach; none where the limit is None."""

    limit: Limit

    def met(self, value: float) -> bool:
        """Whether a value meets it."""
        return value >= self.limit


class Above(AtLeast):
    """Mark that a value must exceed."""

    def met(self, value: float) -> bool:
        """Whether a value meets it."""
        return value > self.limit


class AtMost(AtLeast):
    """Mark that a value must not exceed."""

    def met(self, value: float) -> bool:
        """Whether a value meets it."""
        return value <= self.limit


class Between(NamedTuple):
    """Mark of two ends, both included; none where they are None."""

    limit: tuple[float, float] | None

    def met(self, value: float) -> bool:
        """Whether a value meets it."""
        return self.limit[0] <= value <= self.limit[1]


def within(margin: Limit, of: float) -> Between:
    """Mark for |value - of| <= margin; none where the margin is None."""
    return Between(None if margin is None else (of - margin, of + margin))


class Check(NamedTuple):
    """One line of the table that a study prints. The numbers are data; only `gahr.experiment.report` words them."""

    name: str  # with the unit, where there is one
    theory: Values | str | None  # what theory or the null gives: numbers, or words where it says no number
    measured: Values  # where several, the first is held to the mark
    mark: AtLeast | Between | None = None  # reported without verdict where None, or of no limit
    nulls: Mapping[str, Number] = MappingProxyType({})  # the same number of denoisers that the claim is not about

    @property
    def value(self) -> float:
        """The number that is held to the mark."""
        first = self.measured
        if isinstance(first, Mapping):
            first = next(iter(first.values()))
        elif not isinstance(first, Estimate) and isinstance(first, Sequence):
            first = first[0]
        return mean_of(first)

    @property
    def met(self) -> bool | None:
        """Whether the mark is met; None where there is none."""
        if self.mark is None or self.mark.limit is None:
            return None
        return self._meets(self.value)

    @property
    def met_by(self) -> tuple[str, ...]:
        """Nulls that meet the mark as well, or whose number is not known; none where there is no mark."""
        if self.met is None:
            return ()
        values = {name: mean_of(number) for name, number in self.nulls.items()}
        return tuple(name for name, value in values.items() if math.isnan(value) or self._meets(value))

    @property
    def finding(self) -> bool | None:
        """Whether the mark is met and, where there are nulls, missed by one; None where there is no mark."""
        return self.met and (not self.nulls or len(self.met_by) < len(self.nulls))

    def _meets(self, value: float) -> bool:
        return bool(self.mark.met(value)) and not math.isnan(value)
