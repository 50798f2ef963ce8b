"""Choose of a model's two versions, or their mean, by a rule that was measured, and say why in words."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from kagkit.data.likeness import Likeness
from kagkit.foundation.errors import counted
from kagkit.judgement.board import Alarm
from kagkit.judgement.evidence import Evidence, Gap, RowSet
from kagkit.judgement.labels import Share
from kagkit.workspace.manifest import Policy

Verdict = Literal["retrain", "keep", "mix"]

FEWEST_NEW = 50
# The constants of the rule that was measured: docs/deciding.md.
NOISY, REPAIRED = 3.0, 1.0
LITTLE_SKILL, LESS_SKILL, MOVED_TOO = 0.4, 0.75, 2.0
UNLIKE, MORE_LIKE, FELL = 0.9, 1.3, 0.5
MOVED, SAME_RANKING, SAME_SHARE = 4.0, 1.0, (0.75, 1.33)

NAMES: dict[RowSet, str] = {"train": "old rows", "released": "new rows", "pooled": "all of them"}
LETTERS: dict[RowSet, str] = {"train": "a", "released": "b", "pooled": "c"}
CV_ALONE = (
    "The old rows cannot show what new ones teach: in simulations this rule loses several times what "
    "retraining always does"
)


@dataclass(frozen=True)
class Case:
    """What is known of the two versions of a model.

    Attributes:
        metric: What the metric is called.
        greater_is_better: Its direction.
        evidence: Both versions' scores by row set; None where there are none.
        absent: Why there are none, by row set.
        likeness: How much more the new rows are like the stage-2 test than the old ones.
        gap: How much worse the retrained version does on new rows than on old ones; None where unknown.
        shares: How the new labels' means stand to what the frozen version expects.
        mislabelled: Keys of new rows whose label is far from both versions, the farthest first.
    """

    metric: str
    greater_is_better: bool
    evidence: Mapping[RowSet, Evidence | None]
    absent: Mapping[RowSet, str]
    likeness: Likeness
    gap: Gap | None = None
    shares: tuple[Share, ...] = ()
    mislabelled: tuple[str, ...] = ()


@dataclass(frozen=True)
class Decision:
    """Which version of a model goes into the final.

    Attributes:
        decision: `retrain`, `keep` or `mix`, the mean of both versions.
        why: The reason, with the evidence, in words.
        question: What only people can know, and what each answer means; None where nothing is asked.
        evidence: Both versions' scores by row set; None where there are none.
        alarms: What speaks against plain retraining: `noisy`, `unlike`, `convention`.
        mislabelled: Keys of new rows whose label is far from both versions, the farthest first.
        policy: The policy that decided.
        absent: Why evidence is missing, by row set.
        remarks: What could not be looked at, or how.
    """

    decision: Verdict
    why: str
    question: str | None
    evidence: Mapping[RowSet, Evidence | None]
    alarms: tuple[Alarm, ...]
    mislabelled: tuple[str, ...] = ()
    policy: Policy = "auto"
    absent: Mapping[RowSet, str] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The decision as plain data."""
        return asdict(self)


def judge_case(case: Case, policy: Policy = "auto") -> Decision:
    """Decide by the policy of a model.

    `auto` retrains; it mixes where the new labels look noisy, or where new rows are unlike those to be
    predicted and the old rows' score fell; it asks where the labels' convention seems moved. `cv` keeps the
    frozen version where the score of the old rows fell. `always` and `never` look at nothing. The evidence
    and the alarms are told under each policy.
    """
    silent = _why_silent(case)
    alarms = tuple(_raise_alarms(case))
    kinds = {alarm.kind: alarm.text for alarm in alarms}
    question = kinds.get("convention") if policy == "auto" else None
    decide: dict[Policy, Callable[[], tuple[Verdict, str]]] = {
        "auto": lambda: _by_alarms(case, kinds, silent),
        "cv": lambda: _by_cv(case),
        "always": lambda: ("retrain", "as the manifest says."),
        "never": lambda: ("keep", "as the manifest says."),
    }
    verdict, why = decide[policy]()
    told = " ".join([why, describe_evidence(case)])
    remarks = [silent] if silent else [f"likeness {case.likeness.value:.2f} {case.likeness.told}"]
    return Decision(
        verdict, told, question, case.evidence, alarms, case.mislabelled, policy, case.absent, tuple(remarks)
    )


def describe_evidence(case: Case) -> str:
    """Both versions on each set of rows, in one line; `+` is where the retrained version is better."""
    return "; ".join(_describe(case, row_set) for row_set in NAMES) + "."


def _describe(case: Case, row_set: RowSet) -> str:
    begin, found = f"({LETTERS[row_set]}) {NAMES[row_set]}", case.evidence[row_set]
    if found is None:
        return f"{begin}: none, {case.absent[row_set]}"
    error = "" if found.se is None else f" ±{found.se:.2g}"
    unseen = ", which the frozen version has never seen" if row_set == "released" else ""
    return f"{begin} {found.difference:+.2g}{error} ({found.old:.4g} → {found.new:.4g}{unseen})"


def _why_silent(case: Case) -> str:
    """Why no alarm was looked for; empty where they were."""
    train, released = case.evidence["train"], case.evidence["released"]
    if released is None or train is None:
        row_set: RowSet = "released" if released is None else "train"
        return f"no alarm was looked for: no score on {NAMES[row_set]}, {case.absent[row_set]}"
    if released.rows < FEWEST_NEW:
        return f"no alarm was looked for: {counted(released.rows, 'new row')}, fewer than {FEWEST_NEW}"
    if case.likeness.value is None:
        return f"no alarm was looked for: likeness to the test is not known, {case.likeness.told}"
    return ""


def _raise_alarms(case: Case) -> Iterator[Alarm]:
    train, released, likeness = case.evidence["train"], case.evidence["released"], case.likeness.value
    if train is None or released is None or likeness is None or _why_silent(case):
        return
    gap, no_more_like = case.gap, likeness < MORE_LIKE
    if gap is not None and _is_noisy(gap, case.shares) and no_more_like:
        told = f"{gap.what} {gap.new:.3g} on new rows, {gap.old:.3g} on old ones (gap {gap.errors:.1f} se)"
        text = (
            f"the new labels look noisy: the RETRAINED model reaches {told}. "
            "Drift would have been repaired by retraining"
        )
        yield Alarm("noisy", text)
    if likeness < UNLIKE and train.se is not None and train.difference < -FELL * train.se:
        text = (
            f"the new rows are less like the stage-2 test than the old ones (likeness {likeness:.2f}), and "
            "the score of the old rows fell. Gains on (b) may not carry over"
        )
        yield Alarm("unlike", text)
    moved = next(filter(_has_moved, case.shares), None)
    if moved is not None and no_more_like:
        yield Alarm("convention", _ask(moved))


def _is_noisy(gap: Gap, shares: Sequence[Share]) -> bool:
    """Whether new rows are told worse than chance explains, beside a guess, and retraining did not help.

    Rows that are harder to tell keep more of the skill than labels that are wrong, and the labels' share.
    """
    if gap.skills is None or gap.errors <= NOISY or gap.repaired >= REPAIRED:
        return False
    moved = any(share.z > MOVED_TOO for share in shares)
    return gap.skills[1] < (LESS_SKILL if moved else LITTLE_SKILL) * gap.skills[0]


def _has_moved(share: Share) -> bool:
    low, high = SAME_SHARE
    ranks_well = share.ranking is not None and share.ranking < SAME_RANKING
    return share.z > MOVED and not low < share.ratio < high and ranks_well


def _ask(share: Share) -> str:
    return (
        f"the share of {share.column} in the new labels is {share.found:.2f}, the frozen model expects "
        f"{share.expected:.2f}, yet it ranks them as well as before. Will those who labelled them have "
        "labelled the stage-2 test, too? yes -> retrain, no -> keep, unknown -> as decided (mix is the hedge)"
    )


def _by_alarms(case: Case, kinds: Mapping[str, str], silent: str) -> tuple[Verdict, str]:
    found = [kinds[kind] for kind in ("noisy", "unlike") if kind in kinds]
    if found:
        return "mix", f"{'; and '.join(found)}. The mean of both versions is the hedge."
    released = case.evidence["released"]
    seen = "" if released is None else f" Retrained models learn from {released.rows:,} more rows."
    if silent:
        return "retrain", f"{silent}.{seen}"
    asked = ", and a question" if "convention" in kinds else ""
    return "retrain", f"no alarm{asked}.{seen}"


def _by_cv(case: Case) -> tuple[Verdict, str]:
    train = case.evidence["train"]
    if train is None:
        return "retrain", f"no CV on the same old rows, {case.absent['train']}."
    if train.difference < 0:
        return "keep", f"CV on the same old rows fell. {CV_ALONE}."
    return "retrain", f"CV on the same old rows did not fall. {CV_ALONE}."
