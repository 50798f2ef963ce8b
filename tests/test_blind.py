from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from kagkit.formats.rle import encode
from kagkit.foundation.errors import ManifestError, SubmissionError
from kagkit.judgement.answers import Answers, Form, find_excess, read_answers
from kagkit.judgement.blind import refuse_stops
from kagkit.judgement.plausible import check_range, check_relations
from kagkit.judgement.suspicions import (
    Side,
    Suspicion,
    hold_against_anchor,
    hold_against_copies,
    hold_against_members,
    hold_against_rebuilt,
)
from kagkit.judgement.tendencies import compare_ranks, compare_second_way, compare_shares
from kagkit.workspace.competition import Competition, Metric, Rows, SubmissionFormat

Numbers = np.ndarray[Any, np.dtype[np.float64]]
FORM, MASKS = Form(("id",), ("p",)), Form(("id",), ("runs",), (12, 12), "usual")


def answers(values: Numbers, name: str) -> Answers:
    ids = pd.Index([f"{name}{row}" for row in range(len(values))])
    return Answers(ids, "numbers", values.reshape(len(values), -1), ("p",))


def side(rows: int, name: str, seed: int, shift: float = 0.0) -> Side:
    """Five models that agree but for some noise, and their mean."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=rows) + shift
    said = [1 / (1 + np.exp(-truth - 0.3 * rng.normal(size=rows))) for _ in range(5)]
    members = tuple(answers(each, name) for each in said)
    return Side(answers(np.mean(said, axis=0), name), np.arange(rows) // 4, members, members[0])


NOW, THEN, OOF = side(800, "n", 1), side(400, "t", 2), side(600, "r", 3)


def blobs(rows: int, name: str, seed: int) -> Side:
    """Five models whose round masks are a pixel larger or smaller, and their majority."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:12, :12]
    middle = rng.uniform(4, 7, size=(rows, 2))
    far = np.hypot(y - middle[:, :1, None], x - middle[:, 1:, None])
    said = [far + rng.normal(scale=0.3, size=far.shape) < 3 for _ in range(5)]
    members = tuple(masks(each, name) for each in said)
    return Side(masks(np.mean(said, axis=0) > 0.5, name), np.arange(rows), members, members[0])


def masks(pictures: Any, name: str) -> Answers:
    cells = [encode(each, "usual") for each in pictures]
    table = pd.DataFrame({"id": [f"{name}{row}" for row in range(len(cells))], "runs": cells})
    return read_answers(table, MASKS)[0]


def stops(told: Iterable[Suspicion]) -> set[str]:
    return {each.check for each in told if each.level == "stop"}


def look(now: Side, then: Side, oof: Side = OOF) -> set[str]:
    """Which checks stop a file."""
    found = [*hold_against_members(now, then), *hold_against_anchor(now, then)]
    return stops([*found, *hold_against_copies(now, [oof.file, then.file], {"stage 1": then.file})])


def with_file(change: Callable[[Numbers], Numbers]) -> Side:
    return replace(NOW, file=replace(NOW.file, said=change(NOW.file.said.copy())))


def fill(share: float) -> Callable[[Numbers], Numbers]:
    def change(said: Numbers) -> Numbers:
        said[:: round(1 / share)] = 0.5
        return said

    return change


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("shift", [0.0, 0.3])
def test_an_honest_file_is_not_stopped(seed: int, shift: float) -> None:
    now, then = side(800, "n", 10 + seed, shift), side(400, "t", 20 + seed)
    assert look(now, then) == set()
    assert hold_against_rebuilt(now.file, now.file).level == "ok"


PLANTED: dict[str, tuple[Callable[[Numbers], Numbers], set[str]]] = {
    "shifted": (lambda said: np.roll(said, 1, axis=0), {"inside", "anchor"}),
    "permuted": (lambda said: said.reshape(-1, 4)[:, [1, 2, 3, 0]].reshape(-1, 1), {"inside", "anchor"}),
    "swapped": (lambda said: 1 - said, {"inside", "anchor"}),
    "labels": (np.round, {"inside", "repeats"}),
    "a third filled": (fill(1 / 3), {"inside", "repeats"}),
    "2 % filled": (fill(0.02), {"inside"}),
    "pasted": (lambda said: np.resize(THEN.file.said, said.shape), {"inside", "anchor", "stale"}),
}


@pytest.mark.parametrize("bug", PLANTED)
def test_a_fault_of_the_file_is_stopped_and_the_recompute_finds_every_one(bug: str) -> None:
    change, checks = PLANTED[bug]
    now = with_file(change)
    assert checks <= look(now, THEN)
    told = hold_against_rebuilt(now.file, NOW.file)
    assert (told.check, told.level) == ("recompute", "stop")


def test_a_model_of_few_answers_says_what_an_older_file_said() -> None:
    rng = np.random.default_rng(0)
    now, then = (
        Side(answers(rng.choice(rng.random(60), rows), name), np.arange(rows))
        for rows, name in ((800, "n"), (100, "t"))
    )
    coarse = answers(rng.choice(then.file.said[:, 0], 800), "n")
    assert "stale" not in stops(hold_against_copies(replace(now, file=coarse), [], {"stage 1": then.file}))


def test_wrong_weights_and_one_fold_alone_are_stopped_without_the_recompute() -> None:
    for weights in ([0.6, 0.1, 0.1, 0.1, 0.1], [0, 0, 1, 0, 0]):
        said = np.average([each.said for each in NOW.members], axis=0, weights=weights)
        assert "weights" in look(replace(NOW, file=replace(NOW.file, said=said)), THEN)


def test_one_member_that_is_given_other_rows_or_anothers_weights_is_stopped() -> None:
    first, second, *others = NOW.members
    strange = replace(second, said=(second.said + 0.3).clip(0, 1))
    for member in (strange, first):
        members = (first, member, *others)
        file = replace(NOW.file, said=np.mean([each.said for each in members], axis=0))
        assert "member" in look(replace(NOW, file=file, members=members), THEN)


def test_members_that_are_all_given_other_rows_than_the_frozen_model_are_stopped() -> None:
    members = tuple(replace(each, said=each.said**2) for each in NOW.members)
    file = replace(NOW.file, said=np.mean([each.said for each in members], axis=0))
    assert "anchor" in look(replace(NOW, file=file, members=members), THEN)


def test_where_all_are_given_wrong_rows_a_model_of_the_raw_columns_knows_better() -> None:
    def raw(of: Side) -> pd.DataFrame:
        mean = of.file.said[:, 0]
        return pd.DataFrame({"a": np.log(mean / (1 - mean)), "noise": np.sin(np.arange(len(mean)))})

    tables = [raw(each) for each in (NOW, THEN, OOF)]
    assert not stops(compare_second_way(NOW, THEN, OOF, tables))
    wrong = with_file(lambda said: (said + 0.35).clip(0, 1))
    assert stops(compare_second_way(wrong, THEN, OOF, tables)) == {"raw"}


@pytest.mark.parametrize(
    ("change", "check"),
    [
        (lambda cut: np.roll(cut, 1, axis=0), "anchor"),
        (lambda cut: cut.transpose(0, 2, 1), "anchor"),
        (lambda cut: np.roll(cut, 1, axis=1), "edge"),
        (lambda cut: np.roll(cut, 2, axis=2), "edge"),
        (lambda cut: cut * (np.arange(len(cut)) % 10 > 0)[:, None, None], "inside"),
    ],
)
def test_masks_that_are_moved_turned_emptied_or_anothers_are_stopped(change: Any, check: str) -> None:
    now, then = blobs(120, "n", 1), blobs(80, "t", 2)
    assert look(now, then, then) == set()
    pictures = np.stack([_picture(edges) for edges in now.file.said])
    changed = masks(change(pictures), "n")
    assert check in look(replace(now, file=changed), then, then)
    assert hold_against_rebuilt(changed, now.file).level == "stop"


def _picture(edges: Any) -> Any:
    line = np.zeros(144, bool)
    for start, end in edges.reshape(-1, 2):
        line[start:end] = True
    return line.reshape(12, 12).T


def test_masks_of_the_other_dialect_cannot_be_read() -> None:
    table = pd.DataFrame({"id": ["a", "b"], "runs": ["3 2 1 2", "3 2 9 2"]})
    told, faulty = read_answers(table, MASKS)
    assert faulty == ["a"]
    assert told.pixels.tolist() == [0, 4]


def test_what_drifts_only_warns_and_says_what() -> None:
    moved = side(800, "n", 1, shift=0.8)
    told = [*compare_shares(moved, {"stage 1": THEN}), *compare_shares(NOW, {"stage 1": THEN})]
    assert [each.level for each in told] == ["warn", "ok"]
    assert "mean p" in told[0].text
    shuffled = with_file(lambda said: np.roll(said, 5, axis=0))
    assert [each.level for each in compare_ranks(shuffled, THEN)] == ["warn"]
    assert [each.level for each in compare_ranks(NOW, THEN)] == ["ok"]


def test_lines_become_words_whatever_their_order() -> None:
    table = pd.DataFrame({"id": ["a", "b", "a"], "p": ["cat", "dog", "bat"]})
    one, other = (read_answers(each, FORM)[0] for each in (table, table[::-1]))
    assert one.said.tolist() == [["bat\ncat"], ["dog"]]
    assert hold_against_rebuilt(one, other).level == "ok"
    assert find_excess(one, [one, one], one.scale).tolist() == [0.0, 0.0]


def competition(metric: str = "log_loss", **submission: Any) -> Competition:
    score = Metric(f"kagkit.metrics:{metric}", greater_is_better=False)
    return Competition(1, "toy", Rows(("id",)), score, SubmissionFormat(**submission), {})


def test_chances_beyond_1_are_stopped_and_numbers_far_off_are_warned_of() -> None:
    odds = with_file(lambda said: np.log(said / (1 - said))).file
    assert stops(check_range(competition(target=("p",)), odds, [OOF.file])) == {"range"}
    told = list(check_range(competition("rmse", target=("p",)), odds, [OOF.file]))
    assert [each.level for each in told] == ["warn"]


@pytest.mark.parametrize("long", [False, True])
def test_declared_relations_hold_as_often_as_they_did(long: bool) -> None:
    values = np.column_stack([np.full(200, 0.9), np.linspace(0, 0.8, 200)])
    ids = pd.Index([f"r{row}" for row in range(200)])
    table = Answers(ids, "numbers", values, ("any", "epidural"))
    if long:
        names = pd.Index([f"r{row}_{name}" for row in range(200) for name in table.columns])
        table = Answers(names, "numbers", values.reshape(-1, 1), ("p",))
    rules = competition(target=table.columns, relations={"any": ("epidural",)})
    swapped = replace(table, said=values[:, ::-1] if not long else values[:, ::-1].reshape(-1, 1))
    assert not stops(check_relations(rules, table, [table]))
    assert stops(check_relations(rules, swapped, [table])) == {"relations"}


def test_a_stop_refuses_until_it_is_accepted_by_name() -> None:
    told = [Suspicion("anchor", "stop", "far off"), Suspicion("shares", "warn", "moved")]
    with pytest.raises(SubmissionError, match="far off") as refused:
        refuse_stops(told)
    assert "--accept blind:anchor" in refused.value.problems[0].hint
    refuse_stops(told, ["anchor"])
    refuse_stops(told, ["all"])
    with pytest.raises(ManifestError, match="did you mean anchor"):
        refuse_stops(told, ["anchr"])
