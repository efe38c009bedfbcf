"""A sampler, and what is measured, by names and words, as a command line gives them."""

import inspect
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from gahr.experiment.source import Source
from gahr.names import pick, require
from gahr.sampling import SAMPLERS, inverse
from gahr.sampling.blind import expected_steps
from gahr.sampling.measurements import MEASUREMENTS
from gahr.sampling.sampler import Sampler
from gahr.sampling.schedules import SCHEDULES
from gahr.types import Array, is_told

BLIND = "blind"  # the sampler of networks that are not told sigma; all the others tell
_SCHEDULE = {"annealed_langevin": "geometric", "ddpm": "ddpm", "ddim": "ddpm"}  # sampler -> its publication's
_KINDS = {float | Array: float, Array: tuple, tuple[int, int] | None: tuple}
_WORDS = {int: "a whole number", float: "a number", bool: "true or false", tuple: "numbers joined by commas"}


class Choice(NamedTuple):
    """A sampler and all its options."""

    name: str
    schedule: str | None  # None where it goes through no levels, or through given ones
    options: Mapping[str, Any]  # of the sampler, but for those of the start
    levels: Mapping[str, Any]  # of the schedule
    measurement: str | None = None  # None where samples have to fit nothing
    measured: Mapping[str, Any] = MappingProxyType({})  # options of the measurement

    def sampler(self, **start: Array) -> Sampler:
        """The sampler, with options of the start such as `start_of` gives."""
        options = dict(self.options)
        if self.schedule is not None:
            options["sigmas"] = SCHEDULES[self.schedule](**self.levels)
        return SAMPLERS[self.name](**options, **start)

    def steps(self) -> int:
        """How many steps it takes; of the blind sampler about, of others that do not know 1."""
        if self.name != BLIND:
            return self.sampler().num_steps or 1
        get = {name: p.default for name, p in _parameters(SAMPLERS[BLIND]).items()} | dict(self.options)
        named = ("sigma_start", "sigma_stop", "step_size", "beta")
        return expected_steps(*(get[name] for name in named), growing=get["growing"])

    def __str__(self) -> str:
        words = ", ".join(f"{name}={value}" for name, value in {**self.options, **self.levels}.items())
        fitted = ", ".join(f"{name}={value}" for name, value in self.measured.items())
        parts = [self.name, self.schedule, f"({words})" if words else ""]
        if self.measurement:
            parts += [f"from {self.measurement}", f"({fitted})" if fitted else ""]
        return " ".join(filter(None, parts))


def choose(
    source: Source,
    *,
    name: str | None = None,
    schedule: str | None = None,
    measurement: str | None = None,
    given: Sequence[str] = (),
) -> Choice:
    """Sampler by names and words.

    Args:
      source: network. That of one that is not told sigma may have any sampler, one that is told all but the blind.
      name: of `SAMPLERS`; None for the blind one, or heun for a network that is told sigma.
      schedule: of `SCHEDULES`; None for the one of the sampler's publication.
      measurement: of `MEASUREMENTS`; with one, options of the blind sampler left out are those of `inverse.solve`.
      given: "option=value" each, of sampler, schedule or measurement; sigmas=1,0.1,0 gives levels in place of a
        schedule. A sigma_max left out is that of training, where it is known.

    Raises:
      ValueError: an unknown name, a value that cannot be read, or one that cannot be meant.
    """
    told = is_told(source.model)
    name = name or ("heun" if told else BLIND)
    function = pick("sampler", SAMPLERS, name)
    if told and name == BLIND:
        raise ValueError(f"the sampler {BLIND} is for networks that are not told sigma, and this one is told")
    own = {option: p for option, p in _parameters(function).items() if option != "factor"}
    texts = _texts(given)
    leveled = "sigmas" in own and "sigmas" not in texts
    if schedule is not None and not leveled:
        why = "is given sigmas" if "sigmas" in own else "goes through no levels"
        raise ValueError(f"--schedule has no use, since the sampler {name} {why}")
    objective = (source.section or {}).get("objective", {})
    trained = objective.get("sigma_max")
    if name == "consistency" and objective.get("name") != "consistency":
        raise ValueError("the sampler consistency is for networks that were trained with the objective consistency")
    if leveled and schedule is None:  # that of a DDPM begins far above where most networks were trained
        schedule = "karras" if trained and name in ("ddpm", "ddim") else _SCHEDULE.get(name, "karras")
    of_levels = _parameters(pick("schedule", SCHEDULES, schedule)) if leveled else {}
    of_measurement = _parameters(pick("measurement", MEASUREMENTS, measurement)) if measurement else {}
    known = of_levels | of_measurement | own
    values = {option: _value(option, text, pick("option", known, option)) for option, text in texts.items()}
    for option, parameter in own.items():
        if parameter.default is parameter.empty and option not in values and option != "sigmas":
            raise ValueError(f"the sampler {name} needs --set={option}=VALUE")
    split = lambda names: {option: value for option, value in values.items() if option in names}
    options, levels, measured = split(own), split(of_levels.keys() - own.keys()), split(of_measurement)
    if measurement and name == BLIND:
        solve = _parameters(inverse.solve)
        options = {option: solve[option].default for option in own if option in solve} | options
    for option, parameter in of_measurement.items():
        if parameter.default is parameter.empty and option not in values:
            raise ValueError(f"the measurement {measurement} needs --set={option}=VALUE")
    if "sigma_max" in of_levels and "sigma_max" not in levels:
        if trained is None:
            raise ValueError(
                f"it is not known up to which noise level this network was trained; the sampler {name} needs "
                "--set=sigma_max=VALUE, such as 1"
            )
        levels = {"sigma_max": trained} | levels
    choice = Choice(name, schedule, options, levels, measurement, measured)
    choice.sampler()  # refuses what cannot be meant
    return choice


def _parameters(function: Any) -> dict[str, inspect.Parameter]:
    return {p.name: p for p in inspect.signature(function).parameters.values() if p.kind is p.KEYWORD_ONLY}


def _texts(given: Sequence[str]) -> dict[str, str]:
    texts: dict[str, str] = {}
    for each in given:
        option, equals, text = each.partition("=")
        require(bool(equals), "--set", each, "OPTION=VALUE")
        if option in texts:
            raise ValueError(f"--set: {option} is given twice")
        texts[option] = text
    return texts


def _value(option: str, text: str, parameter: inspect.Parameter) -> Any:
    """A value of the type of the parameter."""
    kind = _KINDS.get(parameter.annotation, parameter.annotation)
    try:
        if kind is str:
            return text
        if kind is bool:
            return {"true": True, "false": False}[text.lower()]
        if kind is tuple:
            return tuple(int(number) if number.strip().isdigit() else float(number) for number in text.split(","))
        return kind(text)
    except (KeyError, ValueError):
        raise ValueError(f"{option} must be {_WORDS[kind]}, got {text!r}") from None
