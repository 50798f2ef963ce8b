"""Check a submission for what no leaderboard can show, tell all that was looked at, stop what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from kagkit.foundation.errors import KagkitError, ManifestError, Problem, SubmissionError, did_you_mean
from kagkit.foundation.files import file_sha256, read_json
from kagkit.judgement.answers import Answers, Form, read_answers
from kagkit.judgement.plausible import check_range, check_relations, list_probes
from kagkit.judgement.reloading import compare_reloaded
from kagkit.judgement.remixing import compare_remixed
from kagkit.judgement.suspicions import (
    Side,
    Suspicion,
    hold_against_anchor,
    hold_against_copies,
    hold_against_members,
    hold_against_rebuilt,
)
from kagkit.judgement.tendencies import compare_ranks, compare_second_way, compare_shares
from kagkit.judgement.witnesses import Witness, find_frozen, find_start, is_frozen, raw_columns
from kagkit.metrics.scoring import read_submission
from kagkit.runs.ancestry import trace_runs
from kagkit.runs.record import Run, experiments_with_runs, find_run, latest_run, read_run, run_folders
from kagkit.workspace.layout import Workspace

CHECKS = (
    "readable", "range", "relations", "recompute", "inside", "member", "weights", "anchor", "edge",
    "repeats", "stale", "reload", "shares", "ranks", "raw", "probes", "scope",
)  # fmt: skip


@dataclass(frozen=True)
class Origin:
    """The run that a file is of, and which of its submissions; the first where the variant is empty."""

    run: Run
    variant: str = ""


def find_origin(workspace: Workspace, path: Path) -> Origin | None:
    """The run that a file was packaged of, or whose own submission it is; None for a file of other origin.

    Raises:
        KagkitError: That run is gone or damaged.
    """
    provenance = path.resolve().with_name("provenance.json")
    if provenance.is_file() and provenance.parent.parent == workspace.submissions.resolve():
        told = read_json(provenance)
        return Origin(find_run(workspace, told["run"]), told.get("variant", ""))
    sha256 = file_sha256(path)
    for name in experiments_with_runs(workspace):
        for folder in run_folders(workspace, name):
            with suppress(KagkitError):  # a damaged run is not the one that is asked about
                run = read_run(folder)
                for each in run.submissions:
                    if each.told["sha256"] == sha256 and run.data["stage"] == workspace.stage:
                        return Origin(run, each.variant)
    return None


def check_blind(workspace: Workspace, path: Path, origin: Origin | None) -> list[Suspicion]:
    """Everything that is looked at in a file whose columns and ids are in order.

    Args:
        workspace: The workspace.
        path: The file.
        origin: The run that it is of, or is meant to be; None where it is of none.

    Returns:
        What was found, the worst first. What cannot be looked at is told, and stops nothing.

    Raises:
        SubmissionError: It is no table.
    """
    form = Form.of(workspace.competition)
    file, faulty = read_answers(read_submission(path, form.key), form)
    told = [_readable(file, faulty, form)]
    if origin is None:
        told += _guarded(lambda: _without_run(workspace, file))
    else:
        told += _check_run(Witness(workspace, origin.run, origin.variant), file)
        told += _check_feeding(workspace, origin.run)
    order = {"stop": 0, "warn": 1, "ok": 2}
    return sorted(told, key=lambda each: order[each.level])


def refuse_stops(told: Sequence[Suspicion], accepted: Sequence[str] = ()) -> None:
    """Stop where a check did and was not accepted.

    Args:
        told: What was found.
        accepted: Names of checks, or `all`.

    Raises:
        SubmissionError: Every stop.
        ManifestError: There is no such check.
    """
    strange = [name for name in accepted if name not in (*CHECKS, "all")]
    if strange:
        problems = [
            Problem(f"--accept blind:{name}", "no such check", hint=did_you_mean(name, CHECKS))
            for name in strange
        ]
        raise ManifestError("nothing to accept", problems)
    stops = [each for each in told if each.level == "stop"]
    left = [each for each in stops if each.check not in accepted and "all" not in accepted]
    if left:
        raise SubmissionError(
            "stopped by the blind check: no leaderboard would show this", list(as_problems(left))
        )


def as_problems(stops: Iterable[Suspicion]) -> Iterator[Problem]:
    """Stops as problems, each with the words that let it pass."""
    for each in stops:
        hint = f"if it is as it should be: --accept blind:{each.check}"
        yield Problem(each.check, each.text, hint=hint, check="blind")


def _guarded(look: Callable[[], Iterable[Suspicion]]) -> list[Suspicion]:
    """What a look finds; where it cannot be taken, why."""
    try:
        return list(look())
    except KagkitError as error:
        why = "; ".join([error.summary, *(str(problem).splitlines()[0] for problem in error.problems[:2])])
        return [Suspicion("scope", "warn", f"not everything could be: {why}")]


def _readable(file: Answers, faulty: list[str], form: Form) -> Suspicion:
    if faulty:
        rows = ", ".join(faulty[:5])
        text = (
            f"{len(faulty):,} of {len(file.ids):,} masks cannot be read in the {form.dialect} dialect: {rows}"
        )
        return Suspicion("readable", "stop", f"{text}; were they written in the other one?")
    return Suspicion("readable", "ok", f"{len(file.ids):,} ids with {file.kind}")


def _without_run(workspace: Workspace, file: Answers) -> Iterator[Suspicion]:
    """A file of no run here, against the run with the best CV."""
    best = _find_best(workspace)
    told = "of no run here, so that most cannot be looked at; is it meant to be of one? --of RUN"
    yield Suspicion("scope", "warn", told)
    if best is None:
        yield from check_range(workspace.competition, file, [])
        yield from check_relations(workspace.competition, file, [])
        return
    witness = Witness(workspace, best)
    held_out = witness.oof()
    before = [] if held_out is None else [held_out]
    now = witness.side(file, witness.test_rows, anchor=witness.file())
    yield from check_range(workspace.competition, file, before)
    yield from check_relations(workspace.competition, file, before)
    yield from hold_against_copies(now, before, {})
    if held_out is not None:
        known = witness.side(held_out, witness.train_rows)
        yield from compare_shares(now, {f"out-of-fold rows of {best.name}": known})
    yield from compare_ranks(now, None, best.name)


def _find_best(workspace: Workspace) -> Run | None:
    """The run of this stage with the best CV."""
    runs = [latest_run(workspace, name, complete=True) for name in experiments_with_runs(workspace)]
    able = [run for run in runs if run and run.data["stage"] == workspace.stage and run.submissions]
    sign = 1 if workspace.competition.metric.greater_is_better else -1
    scored = [run for run in able if run.data["cv"] is not None and "interface" in run.data]
    return max(scored, key=lambda run: sign * run.data["cv"], default=None)


def _check_run(witness: Witness, file: Answers) -> list[Suspicion]:
    """A file against everything that is stored of the run that it is of."""
    run, workspace = witness.run, witness.workspace
    told = _guarded(lambda: [hold_against_rebuilt(file, witness.rebuilt())])
    told += _guarded(lambda: compare_remixed(witness))
    told += _guarded(lambda: _against_others(witness, file))
    if run.data["stage"] == 2 and is_frozen(run):
        told += _guarded(lambda: _against_itself(witness, file))
    elif run.data["stage"] == 2 and not witness.inputs():
        told += _guarded(lambda: _against_frozen(witness, file))
    told += _guarded(lambda: list_probes(workspace, run))
    return told


def _against_others(witness: Witness, file: Answers) -> Iterator[Suspicion]:
    """The file against out-of-fold answers, and against what was submitted in stage 1."""
    first, held_out = _of_stage_1(witness), witness.oof()
    others: dict[str, Side] = {}
    older: dict[str, Answers] = {}
    if held_out is not None:
        others["out-of-fold rows"] = witness.side(held_out, witness.train_rows)
    if first is not None:
        older[first.run.name] = first.file()
        others[f"stage 1's test ({first.run.name})"] = first.side(first.file(), first.test_rows)
    now, before = witness.side(file, witness.test_rows), [each.file for each in others.values()]
    competition = witness.workspace.competition
    yield from check_range(competition, file, before)
    yield from check_relations(competition, file, before)
    yield from hold_against_copies(now, before, older)
    yield from compare_shares(now, others)
    if first is not None:
        now = witness.side(file, witness.test_rows, members=witness.members())
        then = first.side(first.file(), first.test_rows, members=first.members())
        found = list(hold_against_members(now, then))
        # Where some are frozen and others not, they are unlike each other as they never were.
        mixed = bool(witness.inputs()) or find_start(witness.workspace, witness.run) is not None
        whole = is_frozen(witness.run) or not mixed
        # A mean lies inside whatever is mixed; what a function cuts from it need not, as thresholds on areas.
        sound = {"inside"} if witness.is_plain else set()
        yield from (each for each in found if whole or each.check in sound)


def _of_stage_1(witness: Witness) -> Witness | None:
    """The run of stage 1 that the same model, or final, was frozen as; None in stage 1."""
    workspace, run = witness.workspace, witness.run
    start = find_start(workspace, run)
    if start is None and run.data["stage"] == 2:
        frozen = find_frozen(workspace, run)
        start = None if frozen is None else find_start(workspace, frozen)
    return None if start is None else Witness(workspace, start)


def _against_itself(witness: Witness, file: Answers) -> Iterator[Suspicion]:
    """A file of frozen weights against what these very weights said in stage 1."""
    first = _of_stage_1(witness)
    if first is None:
        return
    members, theirs = witness.members(), first.members()
    now = witness.side(file, witness.test_rows, members=members, anchor=members[0])
    then = first.side(first.file(), first.test_rows, members=theirs, anchor=theirs[0])
    yield from hold_against_anchor(now, then)
    yield from compare_ranks(now, then)
    if not witness.inputs():
        yield compare_reloaded(witness, first)
    held_out = first.oof()
    if held_out is not None:
        learn = first.side(held_out, first.train_rows)
        rows = witness.test_rows, first.test_rows, first.train_rows
        yield from _in_a_second_way((now, then, learn), rows)


def _against_frozen(witness: Witness, file: Answers) -> Iterator[Suspicion]:
    """A retrained run against the frozen one: fold by fold, as far apart on the test as out of fold."""
    frozen = find_frozen(witness.workspace, witness.run)
    if frozen is None:
        yield Suspicion("anchor", "warn", "no run of the frozen weights to hold it against")
        return
    other = Witness(witness.workspace, frozen)
    pair = witness.oof(other.oof_keys()), other.oof(witness.oof_keys())
    if pair[0] is None or pair[1] is None:
        return
    ids = pair[0].ids[pair[0].ids.isin(pair[1].ids)]
    then = witness.side(pair[0].take(ids), witness.train_rows, anchor=pair[1])
    folds, theirs = witness.by_fold(), other.by_fold()
    both = sorted(set(folds) & set(theirs), key=lambda fold: -1 if fold is None else fold)
    mine = _one_of_each([folds[fold] for fold in both])
    frozen_ones = _one_of_each([theirs[fold].take(mine.ids) for fold in both])
    now = witness.side(mine, witness.test_rows, anchor=frozen_ones)
    yield from (each for each in hold_against_anchor(now, then) if each.check == "anchor")
    yield from compare_ranks(now, then)
    start = find_start(witness.workspace, frozen)
    old = witness.oof_keys()[:0] if start is None else Witness(witness.workspace, start).oof_keys()
    known, released = witness.oof(old), witness.oof(witness.oof_keys().difference(old))
    if known is not None and released is not None:
        test, train = witness.test_rows, witness.train_rows
        sides = witness.side(file, test), witness.side(released, train), witness.side(known, train)
        yield from _in_a_second_way(sides, (test, train, train))


def _in_a_second_way(
    sides: tuple[Side, Side, Side], rows: tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]
) -> Iterator[Suspicion]:
    """Rows to be predicted, others that were, and those to learn from, by their raw columns if any."""
    raw = [raw_columns(table, side.file) for table, side in zip(rows, sides, strict=True)]
    if all(len(each.columns) for each in raw):
        yield from compare_second_way(*sides, raw)


def _one_of_each(answers: Sequence[Answers]) -> Answers:
    """Row by row one answer after the other: what a single fold says, as out of fold."""
    first = answers[0]
    turn = np.arange(len(first.ids)) % len(answers)
    values = first.said.copy()
    for place, each in enumerate(answers):
        values[turn == place] = each.take(first.ids).said[turn == place]
    return replace(first, said=values)


def _check_feeding(workspace: Workspace, run: Run) -> list[Suspicion]:
    """The runs of the same stage that feed a run, each by its own file."""
    told = []
    for name, each in trace_runs(workspace, run).items():
        if (
            name == run.name
            or each.data["stage"] != run.data["stage"]
            or not each.submissions
            or each.imported
        ):
            continue
        witness = Witness(workspace, each)
        found = _guarded(lambda one=witness: _check_run(one, one.file()))  # type: ignore[misc]
        told += [replace(one, text=f"{name}: {one.text}") for one in found if one.level != "ok"]
        told.append(Suspicion("scope", "ok", f"{name}, which feeds it: {len(found)} checks"))
    return told
