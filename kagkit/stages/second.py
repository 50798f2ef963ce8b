"""Take the second stage step by step, each of ordinary runs: a safe file first, then what evidence allows."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from kagkit.foundation.errors import ManifestError, Problem, counted, did_you_mean, samples
from kagkit.foundation.files import file_sha256
from kagkit.judgement.blind import Origin, check_blind, refuse_stops
from kagkit.judgement.ruling import Verdict
from kagkit.packages.submission import package_submission
from kagkit.runs.drive import TimeOverError
from kagkit.runs.events import Event, Noted
from kagkit.runs.record import Run, find_submission
from kagkit.stages import ancestry, audit, budget, holdout, manifests, verdicts
from kagkit.stages.driving import make_run
from kagkit.stages.ingestion import Arrival, describe_drift, tell_arrival
from kagkit.stages.lineup import Lineup, Member, line_up
from kagkit.stages.lock import FILE, read_lock, verify_lock
from kagkit.workspace.layout import Workspace
from kagkit.workspace.manifest import Policy

STEPS = ("ingest", "audit", "safe", "retrain", "decide", "final")
UNASKED = ("ingest", "audit", "safe")
POLICIES: dict[str, Policy] = {"all": "always", "none": "never"}


@dataclass(frozen=True)
class Wish:
    """What is asked for.

    Attributes:
        retrain: `auto`, `all`, `none`, or names of experiments with commas; None where it is not asked for.
        budget: How many seconds may be trained; None for no limit.
        until: When training must be over; None for no limit.
        accepted: Blind checks that stop nothing, by name.
    """

    retrain: str | None = None
    budget: float | None = None
    until: datetime | None = None
    accepted: tuple[str, ...] = ()


class SecondStage:
    """A frozen final on its way through stage 2; what each step found is in `facts`.

    Args:
        workspace: The workspace.
        final: The final's manifest; the only one that was frozen where None.
        wish: What is asked for.

    Raises:
        ManifestError: Nothing was frozen, or not this; a name is of no model.
        ReproductionError: What was frozen has changed.
    """

    def __init__(self, workspace: Workspace, final: str | None, wish: Wish) -> None:
        self.workspace = workspace
        self.wish = wish
        self._began = time.monotonic()
        lock = read_lock(workspace)
        if lock is None:
            problem = Problem(FILE, "no such file", hint=f"kagkit freeze {final or 'FINAL.yaml'}")
            raise ManifestError("nothing was frozen", [problem])
        self.final = lock.final(final)
        self.lineup: Lineup = line_up(workspace.root, verify_lock(workspace, lock, self.final).values())
        self.arrival = Arrival(workspace)
        self.policies = _policies(self.lineup, wish.retrain)
        self.facts: dict[str, Any] = {"plan": [], "models": [], "final": None, "safe": None}
        self.facts |= {"audit": [], "held_out": [], "blind": []}

    def take(self, step: str) -> Iterator[Event]:
        """Go through one of `STEPS`.

        Yields:
            What happens.

        Raises:
            KagkitError: Whatever the step could not do; a step that was cut is gone through again.
        """
        steps: dict[str, Callable[[], Iterator[Event]]] = {
            "ingest": self._ingest,
            "audit": self._audit,
            "safe": self._safe,
            "retrain": self._retrain,
            "decide": self._decide,
            "final": self._final,
        }
        yield from steps[step]()

    def plan(self) -> list[budget.Planned]:
        """What retraining comes to, in the order in which it is done, and what of it fits the time."""
        growth = self.arrival.growth
        costs = {
            each.base: budget.expect_seconds(self.workspace, each, growth) for each in self.lineup.models
        }
        rows = [
            self._planned(each, costs[each.base])
            for each in budget.order_by_priority(self.lineup.models, costs)
        ]
        told = budget.plan_retraining(rows, self._left())
        self.facts["plan"] = [asdict(each) for each in told]
        return told

    def _planned(self, member: Member, seconds: float) -> budget.Planned:
        policy = self.policies[member.base]
        if policy == "never":
            return budget.Planned(member.base, policy, 0.0, "frozen", "not to be retrained")
        if budget.finished_run(self.workspace, member.retrained) is not None:
            return budget.Planned(member.base, policy, 0.0, "done", f"{member.retrained} is there")
        return budget.Planned(member.base, policy, seconds, "to do", "")

    def _left(self) -> float | None:
        return budget.seconds_left(self.wish.budget, self.wish.until, time.monotonic() - self._began)

    def _ingest(self) -> Iterator[Event]:
        told = self.facts["ingest"] = tell_arrival(self.arrival)
        rows = f"{told['old']:,} old rows, {told['released']:,} released, {told['new']:,} new"
        yield Noted(f"ingest: {rows}")
        for what in ("relabelled", "vanished", "excluded"):
            if told[what]:
                yield Noted(f"ingest: {counted(len(told[what]), 'row')} {what}: {samples(told[what])}")
        for what in ("unlabelled", "renamed"):
            if told[what]:
                yield Noted(f"ingest: {counted(told[what], 'row')} {what}")
        yield from (Noted(f"ingest: {line}") for drift in told["drift"] for line in describe_drift(drift))

    def _audit(self) -> Iterator[Event]:
        audited = audit.audit_submissions(self.arrival)
        self.facts["audit"] = [asdict(each) for each in audited]
        yield from (Noted(f"audit: {line}") for line in audit.tell_audited(self.workspace, audited))
        held_out = holdout.hold_out(self.arrival, [member.run for member in self.lineup.members])
        self.facts["held_out"] = [asdict(each) for each in held_out]
        yield from (Noted(f"audit: {line}") for line in holdout.tell_held_out(held_out))
        alarms = (*audit.tell_alarms(audited), *holdout.tell_unlike(held_out))
        yield from (Noted(f"ALARM: {alarm}") for alarm in alarms)

    def _safe(self) -> Iterator[Event]:
        """Predict by frozen weights and package that, before anything is trained."""
        _ = self.arrival.rows  # so that a stage that has not begun is told before files are written
        yield from (Noted(warning) for warning in self._moved_code())
        unkept = [each.base for each in self.lineup.members if not each.keeps_weights]
        if unkept:
            yield Noted(f"no safe file: {', '.join(unkept)} keeps predictions alone, and must be retrained")
        for member in self.lineup.members:
            if member.keeps_weights and not (unkept and member.fed_by):
                yield from _kept(manifests.write_frozen(self.workspace, self.lineup, member))
        for member in self.lineup.models:
            if member.keeps_weights and not (unkept and member.fed_by):
                yield from make_run(self.workspace, member.frozen)
        safe: dict[str, Any] = {"run": None, "submission": None, "sha256": None, "cv": None}
        if not unkept:
            run = yield from make_run(self.workspace, self.lineup.final.frozen)
            safe |= self._packaged(run)
            yield Noted(f"safe: {safe['submission']}, by frozen weights alone; it can be submitted now")
        self.facts["safe"] = safe

    def _packaged(self, run: Run) -> dict[str, Any]:
        found = check_blind(self.workspace, run.folder / find_submission(run).file, Origin(run))
        self.facts["blind"] = [asdict(each) for each in found]
        refuse_stops(found, self.wish.accepted)
        package = package_submission(self.workspace, run)
        return {"run": run.name, "submission": package.path, "sha256": package.sha256, "cv": run.data["cv"]}

    def _moved_code(self) -> Iterator[str]:
        """Files of the workspace that are others than those a frozen run was made by."""
        for member in self.lineup.members:
            for kept in member.run.files:
                name = kept.name.removeprefix("code/")
                path = self.workspace.root / name
                if name != kept.name and (not path.is_file() or file_sha256(path) != kept.sha256):
                    yield f"{name} is not what {member.run.name} was frozen with: does it predict as then?"

    def _retrain(self) -> Iterator[Event]:
        self._refuse_unsafe()
        planned = {each.experiment: each for each in self.plan()}
        chosen = {name for name, each in planned.items() if each.state in ("to do", "done")}
        yield from (Noted(f"{name}: {each.why}") for name, each in planned.items() if each.state == "no time")
        by_name = {each.base: each for each in self.lineup.models}

        def fed(member: Member) -> str:
            return member.retrained if member.base in chosen or not member.keeps_weights else member.frozen

        for name, each in planned.items():
            if name not in chosen:
                continue
            left = self._left()
            if each.state == "to do" and left is not None and each.seconds > left:
                why = (
                    f"takes about {each.seconds:,.0f} s, and {max(left, 0):,.0f} s are left: it stays frozen"
                )
            else:
                yield from _kept(manifests.write_retrained(self.workspace, self.lineup, by_name[name], fed))
                try:
                    yield from make_run(self.workspace, by_name[name].retrained, self._is_over)
                    continue
                except TimeOverError as over:
                    why = (
                        f"{over.summary}, {over.problems[0].found}: it stays frozen until there is more time"
                    )
            chosen.discard(name)
            self._note_unfit(name, why)
            yield Noted(f"{name}: {why}")

    def _is_over(self) -> bool:
        left = self._left()
        return left is not None and left <= 0

    def _note_unfit(self, name: str, why: str) -> None:
        """What there was no time for, after all."""
        told = next(each for each in self.facts["plan"] if each["experiment"] == name)
        told |= {"state": "no time", "why": why}

    def _refuse_unsafe(self) -> None:
        lacking = [
            each.frozen
            for each in self.lineup.models
            if each.keeps_weights
            and not any(not other.keeps_weights for other in self.lineup.members)
            and budget.finished_run(self.workspace, each.frozen) is None
        ]
        if lacking:
            hint = "kagkit stage2 --step safe"
            problems = [Problem(name, "no run of the frozen weights", hint=hint) for name in lacking]
            raise ManifestError("the safe file comes first", problems)

    def _decide(self) -> Iterator[Event]:
        decided = []
        unfit = {each["experiment"]: each["why"] for each in self.facts["plan"] if each["state"] == "no time"}
        for member in self.lineup.models:
            policy = self.policies[member.base]
            frozen = budget.finished_run(self.workspace, member.frozen)
            new = None if policy == "never" else budget.finished_run(self.workspace, member.retrained)
            told = verdicts.decide_model(self.workspace, member.base, policy, frozen, new)
            decided.append(
                replace(told, why=unfit[member.base]) if member.base in unfit and new is None else told
            )
        settled = verdicts.settle(self.workspace, self.final, decided)
        self.facts["models"] = [vars(each) for each in settled]
        for each in settled:
            yield Noted(f"{each.experiment}: {each.decision}: {each.why}")
            if each.mislabelled:
                rows = samples(each.mislabelled)
                yield Noted(f"{each.experiment}: new rows that look mislabelled: {rows}")
            if each.question:
                yield Noted(f"{each.experiment}: QUESTION: {each.question}; answer in {verdicts.FILE}")

    def _final(self) -> Iterator[Event]:
        if not self.facts["models"]:
            told = verdicts.read_settled(self.workspace, self.final)
            self.facts["models"] = [vars(each) for each in told]
        words = {each["experiment"]: each["decision"] for each in self.facts["models"]}
        self._refuse_others(words)
        names = {"keep": "frozen", "retrain": "retrained", "mix": "mixed"}
        chosen = {each.base: getattr(each, names[words[each.base]]) for each in self.lineup.models}
        for member in self.lineup.models:
            if words[member.base] == "mix" and self._say_the_same(member):
                yield Noted(f"{member.base}: frozen and retrained say the very same: there is nothing to mix")
                chosen[member.base] = member.frozen
            elif words[member.base] == "mix":
                yield from _kept(manifests.write_mixed(self.workspace, member))
        for member in self.lineup.combinations:
            chosen[member.base] = yield from self._combine(member, chosen)
        run = yield from make_run(self.workspace, chosen[self.lineup.final.base])
        members = [asdict(each) for each in ancestry.trace_ancestors(self.workspace, run)]
        self.facts["final"] = self._packaged(run) | {"members": members}
        yield Noted(f"final: {self.facts['final']['submission']} of {run.name}")

    def _say_the_same(self, member: Member) -> bool:
        frozen, retrained = (
            budget.finished_run(self.workspace, name) for name in (member.frozen, member.retrained)
        )
        if frozen is None or retrained is None or not (frozen.data["oof"] and retrained.data["oof"]):
            return False
        return bool(frozen.data["oof"]["content_sha256"] == retrained.data["oof"]["content_sha256"])

    def _refuse_others(self, words: dict[str, Verdict]) -> None:
        lacking = [each.base for each in self.lineup.models if each.base not in words]
        if lacking:
            hint = "kagkit stage2 --step decide"
            problems = [Problem(verdicts.FILE, f"nothing about {name}", hint=hint) for name in lacking]
            raise ManifestError("not every model is decided on", problems)

    def _combine(self, member: Member, chosen: dict[str, str]) -> Generator[Event, None, str]:
        """The experiment that combines what was decided: the frozen one where nothing of it changes."""
        own = [self.lineup.of(run) for run in member.fed_by.values()]
        unchanged = all(chosen[each.base] == each.frozen for each in own)
        asked = any(each["policy"] != "never" for each in self.facts["models"])
        stays = not asked or member.second.retrain == "never"
        if unchanged and stays:
            return member.frozen
        written = manifests.write_combined(
            self.workspace, self.lineup, member, lambda each: chosen[each.base]
        )
        yield from _kept(written)
        return member.retrained


def _kept(written: manifests.Written) -> Iterator[Event]:
    if written.kept:
        yield Noted(f"{written.experiment}.yaml was edited: it stays as it is")


def _policies(lineup: Lineup, retrain: str | None) -> dict[str, Policy]:
    """What is to become of each model, by its name.

    Raises:
        ManifestError: A name is of no model of the final.
    """
    own: dict[str, Policy] = {each.base: each.second.retrain for each in lineup.models}
    must: dict[str, Policy] = {each.base: "always" for each in lineup.models if not each.keeps_weights}
    if retrain in (None, "auto"):
        return own | must
    if retrain in POLICIES:
        return dict.fromkeys(own, POLICIES[str(retrain)]) | must
    names = [name.strip() for name in str(retrain).split(",")]
    problems = [
        Problem(
            "--retrain", f"{name}: no model of this final", hint=did_you_mean(name, [*own, "all", "none"])
        )
        for name in names
        if name not in own
    ]
    if problems:
        raise ManifestError("what is to be retrained cannot be told", problems)
    return {name: "always" if name in names else "never" for name in own} | must
