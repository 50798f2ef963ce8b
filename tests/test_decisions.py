from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from kagkit.data.likeness import Likeness, measure_likeness
from kagkit.data.parts import Pair
from kagkit.foundation.errors import KagkitError
from kagkit.foundation.seeds import stream
from kagkit.judgement.evidence import Evidence, Gap, RowSet, Versions, compare_versions, find_gap
from kagkit.judgement.labels import Labelled, Share, compare_shares, find_mislabelled, rank_gap, to_numbers
from kagkit.judgement.ruling import Case, Decision, judge_case
from kagkit.metrics.perrow import PerRow
from kagkit.metrics.resampling import SummedRows

Numbers = NDArray[np.float64]
NOTHING = Likeness(None, "no column says something of labelled and of test rows alike")


def found(row_set: RowSet, old: float, new: float, se: float = 0.005, rows: int = 200) -> Evidence:
    difference = new - old
    return Evidence(row_set, rows, old, new, difference, se, (difference - 2 * se, difference + 2 * se))


def case(**changes: Any) -> Case:
    """A model that retraining makes a little better, on rows that are alike."""
    evidence = {
        "train": found("train", 0.80, 0.804, rows=600),
        "released": found("released", 0.72, 0.80),
        "pooled": found("pooled", 0.78, 0.803, rows=800),
    }
    evidence |= changes.pop("evidence", {})
    plain = Case("auc", True, evidence, {}, Likeness(1.0, "by 10 columns"))  # type: ignore[arg-type]
    return replace(plain, **changes)


NOISY = Gap("AUC", 0.82, 0.59, 5.3, (0.64, 0.18))
FELL = {"train": found("train", 0.80, 0.78)}
MOVED = (Share("label", 0.36, 0.56, 5.2, 0.1),)


def kinds(decision: Decision) -> list[str]:
    return [alarm.kind for alarm in decision.alarms]


def test_without_an_alarm_the_model_is_retrained_and_all_evidence_is_told() -> None:
    told = judge_case(case())
    assert (told.decision, told.alarms, told.question) == ("retrain", (), None)
    assert told.why == (
        "no alarm. Retrained models learn from 200 more rows. (a) old rows +0.004 ±0.005 (0.8 → 0.804); "
        "(b) new rows +0.08 ±0.005 (0.72 → 0.8, which the frozen version has never seen); "
        "(c) all of them +0.023 ±0.005 (0.78 → 0.803)."
    )
    assert told.remarks == ("likeness 1.00 by 10 columns",)


def test_noisy_new_labels_are_hedged_and_named() -> None:
    told = judge_case(case(gap=NOISY))
    assert (told.decision, kinds(told)) == ("mix", ["noisy"])
    assert "the RETRAINED model reaches AUC 0.59 on new rows, 0.82 on old ones (gap 5.3 se)" in told.why


def test_half_the_skill_is_noise_only_where_the_share_of_labels_moved_too() -> None:
    half, moved = replace(NOISY, skills=(0.64, 0.32)), (replace(MOVED[0], z=2.1),)
    assert kinds(judge_case(case(gap=half))) == []
    assert kinds(judge_case(case(gap=half, shares=moved))) == ["noisy"]


@pytest.mark.parametrize(
    "changes",
    [
        {"likeness": Likeness(1.5, "")},
        {"gap": replace(NOISY, skills=(0.64, 0.5))},
        {"gap": replace(NOISY, skills=(0.64, 0.3))},
        {"gap": replace(NOISY, skills=None)},
        {"gap": replace(NOISY, errors=2.9)},
        {"gap": replace(NOISY, repaired=1.1)},
        {"gap": None},
    ],
)
def test_a_gap_that_likeness_skill_or_chance_explain_is_no_alarm(changes: dict[str, Any]) -> None:
    told = judge_case(case(**{"gap": NOISY} | changes))
    assert (told.decision, kinds(told)) == ("retrain", [])


def test_new_rows_unlike_the_test_are_hedged_only_where_the_old_rows_fell() -> None:
    unlike = Likeness(0.65, "by 10 columns")
    assert judge_case(case(likeness=unlike)).decision == "retrain"
    assert judge_case(case(evidence=FELL)).decision == "retrain"
    told = judge_case(case(likeness=unlike, evidence=FELL))
    assert (told.decision, kinds(told)) == ("mix", ["unlike"])
    assert "(likeness 0.65)" in told.why


def test_a_moved_convention_is_a_question_and_no_verdict() -> None:
    told = judge_case(case(shares=MOVED))
    assert (told.decision, kinds(told)) == ("retrain", ["convention"])
    assert told.question is not None
    assert "share of label in the new labels is 0.36, the frozen model expects 0.56" in told.question
    assert "yes -> retrain, no -> keep" in told.question
    assert told.why.startswith("no alarm, and a question.")


@pytest.mark.parametrize(
    "share",
    [
        Share("label", 0.36, 0.56, 3.9, 0.1),
        Share("label", 0.50, 0.56, 5.2, 0.1),
        Share("label", 0.36, 0.56, 5.2, 1.2),
        Share("label", 0.36, 0.56, 5.2, None),
    ],
)
def test_a_share_that_moved_little_or_with_the_ranking_asks_nothing(share: Share) -> None:
    assert judge_case(case(shares=(share,))).question is None


def test_few_new_rows_or_no_features_raise_no_alarm_and_say_so() -> None:
    few = judge_case(case(evidence={"released": found("released", 0.55, 0.59, rows=49)}, gap=NOISY))
    assert (few.decision, few.alarms) == ("retrain", ())
    assert few.why.startswith("no alarm was looked for: 49 new rows, fewer than 50.")
    blind = judge_case(case(gap=NOISY, likeness=NOTHING))
    assert (blind.decision, blind.alarms) == ("retrain", ())
    assert "likeness to the test is not known, no column says something" in blind.why


def test_absent_evidence_is_none_with_a_reason() -> None:
    gone: dict[str, Any] = {"released": None, "pooled": None}
    absent = dict.fromkeys(gone, "no new row is held out by a fold")
    told = judge_case(case(evidence=gone, absent=absent))
    assert (told.decision, told.evidence["released"]) == ("retrain", None)
    assert "(b) new rows: none, no new row is held out by a fold" in told.why
    assert told.as_json()["evidence"]["released"] is None
    assert told.absent["released"] == "no new row is held out by a fold"


def test_every_policy_tells_the_alarms_and_only_auto_heeds_them() -> None:
    for policy, verdict in (("always", "retrain"), ("never", "keep"), ("cv", "retrain")):
        told = judge_case(case(gap=NOISY, shares=MOVED), policy)  # type: ignore[arg-type]
        assert (told.decision, kinds(told), told.question) == (verdict, ["noisy", "convention"], None)
        assert told.policy == policy


def test_cv_keeps_a_model_whose_old_rows_fell_and_tells_what_that_costs() -> None:
    told = judge_case(case(evidence=FELL), "cv")
    assert told.decision == "keep"
    assert told.why.startswith("CV on the same old rows fell. The old rows cannot show what new ones teach")


def versions(old: Numbers, new: Numbers, groups: Any = None, **facts: Any) -> Versions:
    keys = pd.Index([f"r{row}" for row in range(len(old))])
    unit = pd.Series(keys if groups is None else groups, keys).astype("str")
    form = PerRow(lambda: None)  # type: ignore[arg-type, return-value]
    sides = [SummedRows(form, pd.DataFrame({"score": values}, keys), unit) for values in (old, new)]
    return Versions(sides[0], sides[1], "some units", **facts)


def test_the_difference_is_paired_on_the_same_rows() -> None:
    hard = stream("paired").normal(size=400)
    told = compare_versions("train", versions(hard, hard + 0.01), greater_is_better=True)
    assert told.difference == pytest.approx(0.01)
    assert told.se == pytest.approx(0, abs=1e-9)
    assert told.new_se == pytest.approx(1 / 20, rel=0.2)
    assert told.rows == 400


def test_of_losses_a_smaller_one_is_better() -> None:
    chance = stream("losses").normal(size=400)
    told = compare_versions("train", versions(chance, chance - 0.01), greater_is_better=False)
    assert told.difference == pytest.approx(0.01)
    worse = replace(told, row_set="released", new=told.new + 1, new_se=told.new_se)
    gap = find_gap("log_loss", told, worse, greater_is_better=False)
    assert gap is not None
    assert gap.errors > 3
    assert gap.skills is None
    assert find_gap("log_loss", told, replace(worse, new_se=None), greater_is_better=False) is None


def test_rows_of_one_group_are_one_piece_of_evidence() -> None:
    of_group = np.repeat(stream("groups").normal(size=40), 10)
    zero, groups = np.zeros(400), np.repeat(np.arange(40), 10)
    alone = compare_versions("train", versions(zero, of_group), greater_is_better=True)
    grouped = compare_versions("train", versions(zero, of_group, groups), greater_is_better=True)
    assert (grouped.se or 0) > 2.5 * (alone.se or 1)


def test_versions_on_other_rows_are_not_compared() -> None:
    one, other = versions(np.zeros(4), np.zeros(4)), versions(np.zeros(5), np.zeros(5))
    with pytest.raises(KagkitError, match="on the same rows alone"):
        Versions(one.old, other.new, "units")


def test_skill_is_between_knowing_nothing_and_the_truth() -> None:
    told = versions(np.full(20, 0.5), np.full(20, 0.75), nothing=0.5, perfect=1.0)
    assert compare_versions("train", told, greater_is_better=True).skill == 0.5
    same = versions(np.full(20, 0.5), np.full(20, 0.75), nothing=1.0, perfect=1.0)
    assert compare_versions("train", same, greater_is_better=True).skill is None


def labelled(name: str, rows: int, shift: float = 0.0) -> Labelled:
    """Labels that a calibrated model expects; `shift` lowers the threshold that makes a 1 of an odd."""
    chance = stream("labelled", name)
    odds = 2 * chance.normal(size=rows)
    keys = pd.Index([f"{name}{row}" for row in range(rows)])
    chances = pd.DataFrame({"label": 1 / (1 + np.exp(-odds))}, keys)
    truth = (odds + shift + chance.logistic(size=rows) > 0).astype(float)
    groups = pd.Series(np.arange(rows) // 2, keys)
    return Labelled(pd.DataFrame({"label": truth}, keys), chances, chances, groups)


def test_a_share_that_moved_while_the_ranking_stayed_is_told() -> None:
    (moved,) = compare_shares(labelled("old", 600), labelled("new", 300, shift=-2))
    assert moved.z > 4
    assert moved.ratio < 0.75
    assert moved.ranking is not None
    assert abs(moved.ranking) < 3
    (same,) = compare_shares(labelled("old", 600), labelled("same", 300))
    assert same.z < 4


def test_labels_are_numbers_where_they_are_predicted_as_such() -> None:
    rows = pd.DataFrame({"y": [0, 1], "kind": ["cat", "dog"]}, ["a", "b"])
    chances = pd.DataFrame({"y": [0.2, 0.7], "cat": [0.9, 0.1], "dog": [0.1, 0.9]})
    plain = to_numbers(rows, ["y"], chances)
    assert plain is not None
    assert plain["y"].tolist() == [0.0, 1.0]
    classes = to_numbers(rows, ["kind"], chances[["cat", "dog"]])
    assert classes is not None
    assert classes.to_numpy().tolist() == [[1.0, 0.0], [0.0, 1.0]]
    assert to_numbers(rows, ["kind"], chances[["cat"]]) is None
    assert to_numbers(rows, ["kind"], pd.DataFrame({"kind": ["cat"]})) is None
    assert to_numbers(rows, ["absent"], chances) is None


def test_flipped_labels_are_listed_the_farthest_first() -> None:
    old, new = labelled("old", 600), labelled("new", 100)
    sure = new.frozen["label"].nlargest(3).index
    truth = new.truth.copy()
    truth.loc[sure] = 0.0
    doubted = find_mislabelled(old, replace(new, truth=truth))
    assert list(doubted[:3]) == list(sure)
    assert len(doubted) < 8
    agreed = truth.copy()
    assert not {*sure} & {*find_mislabelled(old, replace(new, truth=truth, retrained=agreed))}


def test_the_gap_of_ranks_sees_noise_and_no_share_of_labels() -> None:
    old = labelled("old", 600)
    moved, noisy = labelled("new", 300, shift=-2), labelled("new", 300)
    flips = stream("flips").random(300) < 0.35
    truth = noisy.truth.where(~flips[:, None], 1 - noisy.truth)
    gaps = [rank_gap(old, rows) for rows in (moved, replace(noisy, truth=truth))]
    assert gaps[0] is not None
    assert gaps[1] is not None
    assert gaps[0].errors < 3 < gaps[1].errors
    assert gaps[1].skills is not None
    assert gaps[1].skills[1] < 0.75 * gaps[1].skills[0]
    assert abs(gaps[1].repaired) < 1e-9
    blind = noisy.frozen.iloc[::-1].set_axis(noisy.frozen.index)
    repaired = rank_gap(old, replace(noisy, frozen=blind))
    assert repaired is not None
    assert repaired.repaired > 3
    assert rank_gap(old, replace(noisy, truth=noisy.truth * 0)) is None


def features(name: str, rows: int, at: float) -> pd.DataFrame:
    chance = stream("features", name)
    keys = pd.Index([f"{name}{row}" for row in range(rows)], name="id")
    return pd.DataFrame({f"x{place}": chance.normal(at, 1, rows) for place in range(3)}, keys)


@pytest.mark.parametrize(
    ("new", "test", "low", "high"), [(0.0, 0.0, 0.85, 1.15), (1.0, 1.0, 1.5, 9), (1.0, 0.0, 0.1, 0.85)]
)
def test_likeness_says_whether_new_rows_are_nearer_to_the_test(
    new: float, test: float, low: float, high: float
) -> None:
    fresh = features("new", 200, new)
    pair = Pair(
        ("labelled", "test"), (pd.concat([features("old", 400, 0.0), fresh]), features("t", 600, test))
    )
    told = measure_likeness(pair, fresh.index)
    assert told.value is not None
    assert low < told.value < high
    assert told.told == "by 3 columns"


def test_likeness_without_columns_or_rows_is_not_known() -> None:
    fresh = features("new", 40, 0.0)
    bare = Pair(("labelled", "test"), (fresh[[]], fresh[[]]))
    assert measure_likeness(bare, fresh.index).value is None
    whole = Pair(("labelled", "test"), (fresh, features("t", 40, 0.0)))
    assert measure_likeness(whole, fresh.index).told == "too few rows, or rows of one kind alone"
