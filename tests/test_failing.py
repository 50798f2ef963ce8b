from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from kagkit.foundation.component import import_function
from kagkit.foundation.errors import DataError, KagkitError, Problem, ReproductionError, RunError
from kagkit.foundation.files import read_json, write_json
from kagkit.runs.failing import guard, join_failures, reason_of, scrub_log

WHAT = "train seed 0 fold 1"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of an unfinished task, with a log."""
    folder = tmp_path / "runs/.work/key"
    folder.mkdir(parents=True)
    (folder / "log.txt").write_text("")
    return folder


def _fail(folder: Path, error: BaseException) -> KagkitError:
    """Why a job failed that raised `error`, as the command that started it is told."""

    def action() -> None:
        raise error

    assert guard(action, folder.parents[2], folder, WHAT) == 1
    return reason_of(folder, WHAT, "ended with exit code 1")


def test_a_success_leaves_no_reason_and_clears_an_old_one(folder: Path) -> None:
    _fail(folder, RunError("before"))
    assert guard(lambda: None, folder.parents[2], folder, WHAT) == 0
    assert not (folder / "error.json").exists()


@pytest.mark.parametrize(
    "error",
    [
        DataError("rows are wrong", [Problem("train.csv line 3", "2 cells", "3", "look", "cells")]),
        ReproductionError("not the same"),
        KagkitError("something"),
    ],
)
def test_an_error_of_ours_crosses_the_border_as_it_is(error: KagkitError, folder: Path) -> None:
    told = _fail(folder, error)
    assert (type(told), told.summary, told.problems) == (type(error), error.summary, error.problems)


def test_an_error_in_a_users_file_is_told_with_its_line(folder: Path) -> None:
    root = folder.parents[2]
    (root / "fit.py").write_text("def fit():\n    helper()\n\ndef helper():\n    return {}['lr']\n")
    fit = import_function(root, "fit:fit")
    assert guard(fit, root, folder, WHAT) == 1
    told = reason_of(folder, WHAT, "")
    assert isinstance(told, RunError)
    (problem,) = told.problems
    assert (problem.where, problem.found) == ("fit.py line 5", "KeyError: 'lr'")
    assert problem.hint == "read runs/.work/key/log.txt"


UNREPEATABLE = """
import torch


def fit():
    torch.use_deterministic_algorithms(True)
    try:
        torch.zeros(4).put_(torch.tensor([0, 1]), torch.ones(2))
    finally:
        torch.use_deterministic_algorithms(False)
"""


def test_an_operation_that_cannot_be_exact_is_named_with_its_line(folder: Path) -> None:
    root = folder.parents[2]
    (root / "chance.py").write_text(UNREPEATABLE)
    assert guard(import_function(root, "chance:fit"), root, folder, WHAT) == 1
    told = reason_of(folder, WHAT, "")
    assert told.summary == f"{WHAT} cannot be exact"
    (problem,) = told.problems
    assert problem.where == "chance.py line 8"
    assert problem.found == "put_ cannot repeat exactly on this device"
    assert "determinism: seeded" in problem.hint


def test_a_product_by_cublas_that_cannot_be_exact_is_named(folder: Path) -> None:
    words = (
        "Deterministic behavior was enabled, but this operation is not deterministic because it uses CuBLAS"
    )
    with pytest.raises(RunError, match="a matrix product by cuBLAS cannot repeat exactly"):
        raise _fail(folder, RuntimeError(words))


@pytest.mark.parametrize(
    ("error", "found"),
    [
        (ValueError("first\nsecond"), "ValueError: first"),
        (AssertionError(), "AssertionError"),
        (MemoryError(), "MemoryError"),
        (FileNotFoundError(errno.ENOENT, "No such file", "a.csv"), "FileNotFoundError: .* 'a.csv'"),
    ],
)
def test_an_error_from_elsewhere_is_told_in_a_line(error: Exception, found: str, folder: Path) -> None:
    with pytest.raises(RunError, match=f"{WHAT} failed\n  {WHAT}: {found}"):
        raise _fail(folder, error)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_told_as_one(number: int, folder: Path) -> None:
    with pytest.raises(RunError, match=r"the disk is full(.|\n)*free some space"):
        raise _fail(folder, OSError(number, os.strerror(number)))


def test_where_no_reason_can_be_kept_the_logs_last_line_has_it(folder: Path) -> None:
    (folder / "error.json").mkdir()
    (folder / "log.txt").write_text("working\n" + json.dumps(DataError("no room").as_json()) + "\n")
    assert isinstance(reason_of(folder, WHAT, ""), DataError)


@pytest.mark.parametrize("last", ['{"loss": 0.1}', "{", "", "{'x': 1}", '{"error": "RunError"}'])
def test_a_job_that_could_tell_nothing_is_told_by_its_end(last: str, folder: Path) -> None:
    (folder / "log.txt").write_text(f"epoch 1\n{last}")
    with pytest.raises(
        RunError, match=f"{WHAT}: ended by signal 9\n    hint: read .work/key/log.txt below runs/"
    ):
        raise reason_of(folder, WHAT, "ended by signal 9")


def test_a_damaged_reason_is_no_reason(folder: Path) -> None:
    write_json(folder / "error.json", {"error": "RunError"})
    with pytest.raises(RunError, match="ended by signal 15"):
        raise reason_of(folder, WHAT, "ended by signal 15")


def test_no_private_path_stays_in_a_log_or_a_reason(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, root = tmp_path_factory.mktemp("home") / "zaphod", folder.parents[2]
    monkeypatch.setenv("HOME", str(home))
    (folder / "log.txt").write_bytes(os.fsencode(f"{root}/fit.py {home}/.cache \xff\n{root}\n"))
    told = _fail(folder, ValueError(f"{home}/x.csv is not {root}/x.csv"))
    assert told.problems[0].found == "ValueError: ~/x.csv is not ./x.csv"
    for path in (folder / "log.txt", folder / "error.json"):
        text = path.read_bytes()
        assert os.fsencode(root) not in text
        assert os.fsencode(home) not in text
    assert (folder / "log.txt").read_bytes().startswith(os.fsencode("./fit.py ~/.cache \xff\n.\n"))


def test_the_log_of_a_success_is_scrubbed_as_well(folder: Path) -> None:
    root = folder.parents[2]
    (folder / "log.txt").write_text(f"read {root}/data/train.csv\n")
    assert guard(lambda: None, root, folder, WHAT) == 0
    assert (folder / "log.txt").read_text() == "read ./data/train.csv\n"


def test_a_log_is_scrubbed_while_its_writer_still_has_it_open(folder: Path) -> None:
    log, root = folder / "log.txt", folder.parents[2]
    with log.open("ab", buffering=0) as writer:
        writer.write(f"{root}/a\n".encode())
        scrub_log(log, root)
        writer.write(b"last words\n")
    assert log.read_text() == "./a\nlast words\n"
    scrub_log(folder / "no log", root)


def test_a_log_without_private_paths_is_left_as_it_is(folder: Path) -> None:
    (folder / "log.txt").write_bytes(b"bytes \xff\xfe and no path\r\n")
    before = (folder / "log.txt").stat().st_mtime_ns
    scrub_log(folder / "log.txt", folder.parents[2])
    assert (folder / "log.txt").stat().st_mtime_ns == before
    assert (folder / "log.txt").read_bytes() == b"bytes \xff\xfe and no path\r\n"


def test_failures_of_several_kinds_are_one_of_a_run_and_alike_ones_are_told_once() -> None:
    alike = RunError("no", [Problem("fit.py line 3", "ValueError: x", hint="read a")])
    other = RunError("no", [Problem("fit.py line 3", "ValueError: x", hint="read b")])
    damaged = ReproductionError("damaged", [Problem("task.json", "cut")])
    joined = join_failures({"fold 0": alike, "fold 1": other, "fold 2": damaged})
    assert type(joined) is RunError
    assert [problem.where for problem in joined.problems] == [
        "fit.py line 3 (fold 0 and 1 more)",
        "task.json (fold 2)",
    ]
    assert type(join_failures({"fold 2": damaged, "fold 3": damaged})) is ReproductionError
    assert join_failures({"fold 2": damaged}).summary == "fold 2: damaged"


def test_the_log_has_the_whole_story(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    action: Callable[[], None] = lambda: json.loads("{")  # noqa: E731
    guard(action, folder.parents[2], folder, WHAT)
    told = capfd.readouterr().err
    assert "Traceback" in told
    assert "JSONDecodeError" in told
    assert read_json(folder / "error.json")["exit_code"] == 4


def test_an_error_of_ours_that_quotes_a_private_path_is_scrubbed_as_the_log_is(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, root = tmp_path_factory.mktemp("home") / "zaphod", folder.parents[2]
    monkeypatch.setenv("HOME", str(home))
    problem = Problem(f"{root}/score.py", f"no '{home}/limits.csv'", f"{root}/x", f"look in {home}", "metric")
    told = _fail(folder, DataError(f"the metric read {home}/limits.csv", [problem]))
    assert isinstance(told, DataError)
    assert told.summary == "the metric read ~/limits.csv"
    assert told.problems == (Problem("./score.py", "no '~/limits.csv'", "./x", "look in ~", "metric"),)
    assert "zaphod" not in (folder / "error.json").read_text()
