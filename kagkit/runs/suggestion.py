"""Suggest what to try next by Optuna's TPE: a function of what was tried, the seed and the trial's number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kagkit.foundation.errors import Problem, RunError
from kagkit.foundation.files import canonical_json
from kagkit.foundation.seeds import seed_of
from kagkit.runs.trials import DONE, PRUNED, Trial
from kagkit.workspace.search import Search, Span

DIGITS = 4  # of a number that was drawn: more would be noise in a manifest
DRAWS = 20  # as often a trial is drawn again that was there before


def refuse_without_optuna() -> None:
    """Tell what is missing before anything is trained.

    Raises:
        RunError: Optuna is not installed.
    """
    try:
        import optuna  # noqa: F401 (whether it can be imported)
    except ImportError:
        problem = Problem("optuna", "not installed", hint="pip install 'kagkit[tune]'")
        raise RunError("nothing to search with", [problem]) from None


def suggest(search: Search, trials: Sequence[Trial], number: int, *, greater: bool) -> dict[str, Any]:
    """What to try next.

    A study in memory is told all that was tried; nothing else is kept of it, so a killed search goes on as if
    it had not been.

    Args:
        search: Spans, seed.
        trials: What was tried, in order; trials that failed, or go on, tell nothing.
        number: The number of the trial to come; with the seed it names the random stream.
        greater: Whether a larger score is the better one.

    Returns:
        A value for each key of `search.space`; one that was not tried yet, where 20 draws find one.

    References:
        Bergstra et al., "Algorithms for Hyper-Parameter Optimization", NeurIPS 2011 (TPE); the first ten
        trials are random.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    space = {key: _distribution(span) for key, span in search.space.items()}
    known = [frozen for trial in trials if (frozen := _frozen(search.space, space, trial)) is not None]
    tried = {canonical_json(trial.args) for trial in trials}
    found: dict[str, Any] = {}
    for draw in range(DRAWS):
        sampler = optuna.samplers.TPESampler(seed=seed_of("tune", search.seed, number, draw) % 2**32)
        study = optuna.create_study(direction="maximize" if greater else "minimize", sampler=sampler)
        study.add_trials(known)
        drawn = study.ask(space).params
        found = {key: _value(span, drawn[key]) for key, span in search.space.items()}
        if canonical_json(found) not in tried:
            break
    return found


def _distribution(span: Span) -> Any:
    """A span as Optuna has it; choices go by their place, so that any value may be one."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if span.choices:
        return CategoricalDistribution(tuple(range(len(span.choices))))
    assert span.low is not None  # noqa: S101 (the manifest was checked)
    assert span.high is not None  # noqa: S101
    # Optuna would move an end that no number of steps reaches, and warn.
    high = span.low + (span.size - 1) * span.step if span.step and span.size else span.high
    if span.whole:
        return IntDistribution(int(span.low), int(high), log=span.log, step=int(span.step or 1))
    return FloatDistribution(float(span.low), float(high), log=span.log, step=span.step)


def _value(span: Span, drawn: Any) -> Any:
    """What was drawn as a manifest says it: a number of few digits, between its ends."""
    if span.choices:
        return span.choices[drawn]
    if span.whole or span.low is None or span.high is None:
        return drawn
    short = float(f"{drawn:.{10 if span.step else DIGITS}g}")
    return min(max(short, float(span.low)), float(span.high))


def _frozen(spans: Mapping[str, Span], space: Mapping[str, Any], trial: Trial) -> Any:
    """A trial as Optuna has it; None where it says nothing of this space."""
    from optuna.trial import TrialState, create_trial

    told = all(key in trial.args and span.holds(trial.args[key]) for key, span in spans.items())
    if trial.state not in (DONE, PRUNED) or not told:
        return None
    params = {
        key: span.choices.index(trial.args[key]) if span.choices else trial.args[key]
        for key, span in spans.items()
    }
    return create_trial(
        state=TrialState.COMPLETE if trial.state == DONE else TrialState.PRUNED,
        value=trial.cv if trial.state == DONE else trial.mean,
        params=params,
        distributions=dict(space),
        intermediate_values=dict(enumerate(trial.means)),
    )
