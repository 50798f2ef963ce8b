from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kagkit.foundation.errors import DataError, HostError, KagkitError, ManifestError
from kagkit.host.accounts import digest_key, new_key, sender_of
from kagkit.host.server import open_socket
from kagkit.host.terms import read_terms
from tests.hosting import HOST, SOLUTION, write_host

STAGE = {"files": ["files"], "solution": "solution.csv"}


def problems_of(root: Path, kind: type[KagkitError] = ManifestError) -> list[str]:
    with pytest.raises(kind) as error:
        read_terms(root)
    return [f"{problem.found}" for problem in error.value.problems]


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"competition": "My Toy"}, "competition: My Toy"),
        ({"limits": {"daily": 0, "total": 0}}, "limits.total: 0"),
        ({"limits": {"dayly": 3}}, "limits.dayly: no such key"),
        ({"stages": {"2": STAGE}}, "stages: no stage 1"),
        ({"stages": {"1": STAGE, "3": STAGE}}, "stages.3: no such stage"),
        ({"stages": {"1": STAGE | {"labels": "l.csv"}}}, "labels: l.csv"),
        ({"stages": {"1": STAGE, "2": STAGE | {"labels": "../l.csv"}}}, "labels: ../l.csv"),
        ({"stages": {"1": STAGE | {"deadline": "2026-03-01"}}}, "deadline: 2026-03-01"),
        ({"stages": {"1": STAGE | {"solution": "truth.csv"}}}, "truth.csv: no such file"),
        (
            {"stages": {"1": STAGE | {"files": ["."]}}},
            ".: holds solution.csv, host.yaml, state, kernels, which participants must not see",
        ),
        (
            {"metric": {"score": "kagkit.metrics:acuracy", "greater_is_better": True}},
            "kagkit.metrics:acuracy: no such function",
        ),
        (
            {"metric": {"score": "kagkit.metrics:auc", "greater_is_better": True, "args": {"k": 1}}},
            "k: kagkit.metrics:auc takes no such argument",
        ),
        ({"participants": {"a b": {"key_sha256": "0" * 64}}}, "participants: a b"),
        ({"participants": {"ann": {"key_sha256": "ann's"}}}, "ann.key_sha256: not a sha256"),
        ({"participants": {u: {"key_sha256": "0" * 64} for u in "ab"}}, "two participants have one key"),
    ],
)
def test_what_cannot_stand_in_host_yaml_is_told(changes: dict[str, Any], found: str, tmp_path: Path) -> None:
    write_host(tmp_path, **changes)
    assert found in problems_of(tmp_path)


def test_the_solution_of_another_stage_is_hidden_too(tmp_path: Path) -> None:
    stages = {"1": HOST["stages"]["1"], "2": HOST["stages"]["2"] | {"solution": "files/solution2.csv"}}
    write_host(tmp_path, stages=stages)
    (tmp_path / "solution2.csv").rename(tmp_path / "files/solution2.csv")
    with pytest.raises(ManifestError, match=r"files: holds solution2\.csv, which participants must not see"):
        read_terms(tmp_path)


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    write_host(
        tmp_path, competition="My Toy", limits={"daily": 0}, stages={"1": STAGE | {"solution": "no.csv"}}
    )
    assert len(problems_of(tmp_path)) == 3


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (SOLUTION.replace("Usage", "Use"), "no column Usage"),
        (SOLUTION.replace("Private", "Public"), "Usage: no row is Private"),
        (SOLUTION.replace("Ignored", "ignored"), "Usage: ignored"),
        (SOLUTION + "a,1,Public\n", "ids that come twice: a"),
        (SOLUTION + "z,1\n", "line 10: not 3 cells"),
    ],
)
def test_what_is_wrong_with_a_solution_is_told(text: str, found: str, tmp_path: Path) -> None:
    write_host(tmp_path, stages={"1": STAGE})
    (tmp_path / "solution.csv").write_text(text)
    assert problems_of(tmp_path, DataError) == [found]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("id,z\na,1\n", "no column y"),
        ("id,y\n" + "".join(f"{name},0\n" for name in "abcdefg"), "no line for h"),
        ("id,y\n" + "".join(f"{name},0\n" for name in "abcdefghi"), "ids the solution does not have: i"),
    ],
)
def test_a_sample_of_other_ids_than_the_solution_is_told(text: str, found: str, tmp_path: Path) -> None:
    write_host(tmp_path, stages={"1": STAGE | {"sample_submission": "files/sample.csv"}})
    (tmp_path / "files/sample.csv").write_text(text)
    assert problems_of(tmp_path, DataError) == [found]


def basic(user: str, key: str) -> str:
    import base64

    return "Basic " + base64.b64encode(f"{user}:{key}".encode()).decode()


@pytest.mark.parametrize(
    ("header", "user"),
    [
        (basic("ann", "ann's"), "ann"),
        ("Bearer ann's", "ann"),
        (basic("bob", "ann's"), None),
        (basic("ann", ""), None),
        (basic("", ""), None),
        ("Bearer " + digest_key("ann's"), None),
        ("Basic !", None),
        ("", None),
    ],
)
def test_only_a_participants_own_key_lets_in(header: str, user: str | None, tmp_path: Path) -> None:
    write_host(tmp_path)
    assert sender_of(read_terms(tmp_path), header) == user


def test_keys_are_long_and_never_the_same() -> None:
    assert len({new_key() for _ in range(100)}) == 100
    assert all(len(new_key()) == 32 for _ in range(3))


def test_a_host_that_others_can_reach_needs_a_token() -> None:
    with pytest.raises(HostError, match="needs a token"):
        open_socket("0.0.0.0", 0, None)
    open_socket("127.0.0.1", 0, None).close()
    with open_socket("127.0.0.1", 0, None) as taken, pytest.raises(HostError, match="cannot listen"):
        open_socket("127.0.0.1", taken.getsockname()[1], None)


def test_the_example_of_these_tests_is_in_order(tmp_path: Path) -> None:
    write_host(tmp_path)
    terms = read_terms(tmp_path)
    assert [terms.team_of(user) for user in terms.participants] == ["A", "A", "cid", "dan"]
    assert terms.competition == HOST["competition"]
