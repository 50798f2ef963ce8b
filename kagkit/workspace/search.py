"""Say what `kagkit tune` may try: ranges and choices, held against the functions that take them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kagkit.foundation.component import find_function
from kagkit.foundation.errors import Problem, Where, did_you_mean
from kagkit.foundation.sources import REQUIRED, Argument
from kagkit.workspace.commands import CommandRecipe
from kagkit.workspace.recipe import Recipe, declared_type, value_problems

if TYPE_CHECKING:
    from kagkit.workspace.manifest import Making, Manifest

ARGS, SUBMISSION = "args", "submission.args"


@dataclass(frozen=True)
class Span:
    """What one argument may be: a number between two ends, both included, or one of some values.

    Attributes:
        low: The least value. Where both ends are whole numbers, only whole numbers are tried.
        high: The largest value.
        log: Whether to try as many values between 0.001 and 0.01 as between 0.01 and 0.1.
        step: Only `low`, `low` plus a step, plus two, …
        choices: The values, of any kind, in place of a range.
    """

    low: int | float | None = None
    high: int | float | None = None
    log: bool = False
    step: int | float | None = None
    choices: tuple[Any, ...] = ()

    @property
    def whole(self) -> bool:
        """Whether only whole numbers are tried."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    @property
    def size(self) -> int | None:
        """How many values there are; None where there is no end of them."""
        if self.choices:
            return len(self.choices)
        if self.low is None or self.high is None or not (self.whole or self.step):
            return None
        return int((self.high - self.low) / (self.step or 1) + 1e-9) + 1

    def holds(self, value: Any) -> bool:
        """Whether a value is one that may be tried."""
        if self.choices:
            return value in self.choices
        if isinstance(value, bool) or not isinstance(value, int if self.whole else int | float):
            return False
        if self.low is None or self.high is None or not self.low <= value <= self.high:
            return False
        steps = (value - self.low) / self.step if self.step else 0
        return abs(steps - round(steps)) < 1e-9


@dataclass(frozen=True)
class Search:
    """What `kagkit tune` searches, and for how long.

    Attributes:
        trials: How many trials the study has in all, the manifest's own arguments first.
        minutes: After so many minutes of one command no further trial begins.
        args: Arguments of the recipe, or placeholders of `command`, by name.
        submission: Arguments of `submission.make`, by name. Where these alone are searched nothing is trained
            that is trained already.
        seed: What the trials are drawn from; the same seed gives the same trials.
        prune: Whether a trial ends early whose first folds are worse than the median of the trials before.
    """

    trials: int = 30
    minutes: float | None = None
    args: dict[str, Span] = field(default_factory=dict)
    submission: dict[str, Span] = field(default_factory=dict)
    seed: int = 0
    prune: bool = True

    @property
    def space(self) -> dict[str, Span]:
        """Every span by the key of the manifest that it sets: `args.lr`, `submission.args.top`."""
        return {f"{ARGS}.{name}": span for name, span in self.args.items()} | {
            f"{SUBMISSION}.{name}": span for name, span in self.submission.items()
        }


def starting_values(root: Path, manifest: Manifest, recipe: Recipe | CommandRecipe) -> dict[str, Any]:
    """What a manifest itself says of the keys it searches: its value, or the default in the source.

    A default that is no literal is left out.
    """
    search, args, making = manifest.search or Search(), manifest.args, manifest.submission
    found: dict[str, Any] = {}
    for name in search.args:
        defaults = [taker.default for taker in _takers(recipe, name)]
        found[f"{ARGS}.{name}"] = args.get(name, next(iter(defaults), None))
    function = find_function(root, making.make) if making.make else None
    for name in search.submission:
        argument = function.keywords.get(name) if function else None
        found[f"{SUBMISSION}.{name}"] = making.args.get(name, argument.default if argument else None)
    return {key: value for key, value in found.items() if value is not None and value is not REQUIRED}


def _takers(recipe: Recipe | CommandRecipe, name: str) -> list[Argument]:
    """The argument of this name in each function of a recipe that has one; a command declares none."""
    if isinstance(recipe, CommandRecipe):
        return []
    return [function.keywords[name] for function in recipe.functions.values() if name in function.keywords]


def search_problems(
    root: Path, manifest: Manifest, recipe: Recipe | CommandRecipe, where: Where
) -> Iterator[Problem]:
    """Everything wrong with a manifest's `search:` block, each with the line of its key."""
    search, args, making = manifest.search, manifest.args, manifest.submission
    if search is None:
        return
    if not search.args and not search.submission:
        hint = "name arguments: search: {args: {lr: {low: 1e-4, high: 1e-2, log: true}}}"
        yield Problem(where("search"), "search: nothing to try", hint=hint)
    if search.trials < 1:
        yield Problem(where("search.trials"), f"search.trials: {search.trials}", "1 or more")
    if search.minutes is not None and search.minutes <= 0:
        yield Problem(where("search.minutes"), f"search.minutes: {search.minutes:g}", "more than 0")
    for key, spans in (("search.args", search.args), ("search.submission", search.submission)):
        for name, span in spans.items():
            for problem in _span_problems(span):
                found, expected, hint = problem
                yield Problem(where(f"{key}.{name}"), f"{key}.{name}: {found}", expected, hint)
    for name, span in search.args.items():
        yield from _argument_problems(recipe, args, name, span, where(f"search.args.{name}"))
    yield from _make_problems(root, search, making, where)


def _span_problems(span: Span) -> Iterator[tuple[str, str, str]]:
    """What is wrong with a span: found, expected, hint."""
    if span.choices:
        if (span.low, span.high, span.step, span.log) != (None, None, None, False):
            yield "choices beside a range", "one of the two", ""
        if len(span.choices) < 2:
            yield "a single choice", "two or more", "write the value into args"
        return
    if span.low is None or span.high is None:
        yield "no range", "low and high, or choices", "{low: 1e-4, high: 1e-2} or {choices: [a, b]}"
        return
    if span.low >= span.high:
        yield f"low {span.low}, high {span.high}", "low below high", ""
    if span.log and span.low <= 0:
        yield f"log from {span.low}", "low above 0", ""
    if span.log and span.step is not None:
        yield "log and step", "one of the two", ""
    if span.step is not None and (span.step <= 0 or (span.whole and not isinstance(span.step, int))):
        yield f"step {span.step}", "a whole number above 0" if span.whole else "a number above 0", ""


def _argument_problems(
    recipe: Recipe | CommandRecipe, args: Mapping[str, Any], name: str, span: Span, where: str
) -> Iterator[Problem]:
    """Where no function takes an argument, or not such values of it."""
    if isinstance(recipe, CommandRecipe):
        if name not in args:
            hint = did_you_mean(name, list(args)) if args else "give it a value in args, which comes first"
            yield Problem(where, f"search.args.{name}: not in args", hint=hint)
        return
    for value in span.choices or (span.low, span.high):
        problems = list(value_problems(recipe, name, value, where)) if value is not None else []
        yield from problems
        if problems:
            return
    yield from _whole_problems(name, "search.args", span, _takers(recipe, name), where)


def _make_problems(root: Path, search: Search, making: Making, where: Where) -> Iterator[Problem]:
    if not search.submission:
        return
    make = making.make
    if make is None:
        hint = "say what takes them: submission: {make: module:function}"
        yield Problem(where("search.submission"), "search.submission without submission.make", hint=hint)
        return
    function = find_function(root, make)
    if function is None:
        return
    for name, span in search.submission.items():
        place, takers = where(f"search.submission.{name}"), function.keywords
        if name in making.fit_args:
            yield Problem(place, f"search.submission.{name}: in submission.fit_args", "one of the two")
        if name not in takers and not function.takes_any:
            hint = did_you_mean(name, list(takers)) if takers else "it takes none"
            yield Problem(place, f"search.submission.{name}: {make} takes no such argument", hint=hint)
        elif name in takers:
            yield from _whole_problems(name, "search.submission", span, [takers[name]], place)


def _whole_problems(name: str, key: str, span: Span, takers: list[Argument], where: str) -> Iterator[Problem]:
    """Whole ends for an argument that takes any number: only its ends and a few between would be tried."""
    if span.whole and any(declared_type(argument) == "float" for argument in takers):
        found = f"{key}.{name}: whole numbers {span.low} to {span.high}, and it takes any number"
        hint = f"write {{low: {float(span.low or 0)}, high: {float(span.high or 0)}}}; or choices"
        yield Problem(where, found, hint=hint)
