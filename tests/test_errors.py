from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from kagkit.foundation.errors import (
    DataError,
    KagkitError,
    ManifestError,
    Problem,
    did_you_mean,
    error_from_json,
    nearest,
    samples,
)

LINE_7 = Problem("exp001.yaml line 7", "seeed: no such key", hint="did you mean seeds?")
LINE_12 = Problem("exp001.yaml line 12", 'args.width: found "eight"', "a whole number", check="types")


def branches() -> list[type[KagkitError]]:
    return KagkitError.__subclasses__()


def everything(kind: type[KagkitError]) -> Iterator[type[KagkitError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from everything(below)


def test_the_tree_has_one_base_and_every_branch_its_own_exit_code() -> None:
    codes = {kind.__name__: kind.exit_code for kind in branches()}
    assert {"KagkitError": KagkitError.exit_code} | codes == {
        "KagkitError": 1,
        "ManifestError": 2,
        "DataError": 3,
        "RunError": 4,
        "SubmissionError": 5,
        "HostError": 6,
        "ReproductionError": 7,
    }


def test_a_message_says_where_what_is_found_expected_and_what_to_do() -> None:
    assert str(ManifestError("exp001.yaml: 2 problems", [LINE_7, LINE_12])) == (
        "exp001.yaml: 2 problems\n"
        "  exp001.yaml line 7: seeed: no such key\n"
        "    hint: did you mean seeds?\n"
        '  exp001.yaml line 12: args.width: found "eight"; expected a whole number'
    )


# Errors with facts of their own stay in the process that can use them.
PLAIN = [kind for kind in everything(KagkitError) if kind.__init__ is KagkitError.__init__]


@pytest.mark.parametrize("kind", PLAIN, ids=lambda kind: kind.__name__)
def test_an_error_crosses_a_process_border_as_json(kind: type[KagkitError]) -> None:
    error = kind("it could not be done", [LINE_7, LINE_12])
    back = error_from_json(json.loads(json.dumps(error.as_json())))
    assert (back.exit_code, back.summary, back.problems) == (error.exit_code, error.summary, error.problems)
    assert isinstance(error, type(back))


def test_a_twig_of_the_tree_comes_back_as_its_branch() -> None:
    told = DataError("folds overlap").as_json() | {"error": "FoldError"}
    assert type(error_from_json(told)) is DataError


@pytest.mark.parametrize(
    ("count", "expected"),
    [(0, ""), (1, "0"), (5, "0, 1, 2, 3, 4"), (6, "0, 1, 2, 3, 4 and 1 more")],
)
def test_at_most_five_samples_are_shown(count: int, expected: str) -> None:
    assert samples(range(count)) == expected


def test_samples_of_a_larger_whole_tell_its_size() -> None:
    assert samples(["a", "b"], 12_089) == "a, b and 12,087 more"
    assert samples(list("abcdefg"), 7) == "a, b, c, d, e and 2 more"


def test_the_nearest_word_is_meant_only_if_it_is_near() -> None:
    assert nearest("seeed", ["folds", "seeds"]) == "seeds"
    assert nearest("colour", ["folds", "seeds"]) is None
    assert did_you_mean("colour", ["folds", "seeds"]) == "one of: folds, seeds"


def test_a_hint_stays_short_however_many_words_there_are() -> None:
    many = [f"column {number:03d}" for number in range(300)]
    assert did_you_mean("xyz", many).endswith("column 004 and 295 more")
    assert did_you_mean("xyz", []) == ""
