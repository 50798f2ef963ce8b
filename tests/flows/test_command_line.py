from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kagkit.cli import COMMANDS
from tests.patience import PATIENCE, wait_for
from tests.terminal import edit, kagkit, plan, record, run
from tests.toy import make_workspace, write_manifest, write_recipe

GROUPS = {"data": ["pin", "verify", "diff"], "lb": ["add"]}
PAGES = [[name, *sub] for name in COMMANDS for sub in ([], *([word] for word in GROUPS.get(name, [])))]
ERROR = {"error", "exit_code", "summary", "problems"}
RUN = {
    *("run", "experiment", "stage", "complete", "cv", "cv_std", "coverage", "folds"),
    *("optimism", "cv_kept"),
    *("data", "submissions", "weights", "oof", "test", "tasks", "seconds"),
}
ROW = {
    *("run", "submission", "experiment", "stage", "cv", "cv_std"),
    *("lb_public", "lb_private", "gap"),
}
SLOW = """import time


def train(task):
    if task.fold == 3 and not (task.checkpoint / "begun").exists():
        (task.checkpoint / "begun").write_text("yes")
        time.sleep(900)
    (task.out / "fold.txt").write_text(str(task.fold))


def predict(task, model, rows):
    return (rows["a"] > 0).astype("int64").to_frame("label")
"""


def process(root: Path, *words: str) -> subprocess.Popen[str]:
    """Kagkit as a process of its own, its output piped."""
    code = "from kagkit.cli import main; main()"
    return subprocess.Popen(
        [sys.executable, "-c", code, *words],
        cwd=root,
        env=os.environ | {"KAGKIT_TEST": str(root), "TERM": "xterm-256color"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("words", PAGES, ids=" ".join)
def test_every_help_page_ends_with_worked_examples(tmp_path: Path, words: list[str]) -> None:
    for option in ("--help", "-h"):
        page = kagkit(tmp_path, *words, option).out
        _, _, examples = page.partition("Examples:\n")
        assert examples.strip(), page
        for line in examples.strip().splitlines():
            assert line.strip().startswith(f"kagkit {words[0]}")


def test_the_first_page_lists_every_command(tmp_path: Path) -> None:
    page = kagkit(tmp_path, "--help").out
    for name, told in COMMANDS.items():
        assert f"  {name} " in page
        assert told in page
    assert kagkit(tmp_path, "--version").out.startswith("kagkit 0.")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["rnu"], "rnu: no such command; did you mean run?"),
        (["data", "pni"], "Did you mean 'pin'?"),
        (["run", "exp001", "--fold", "0"], "--folds"),
        (["run"], "Missing argument 'EXP...'"),
        (["run", "exp01"], "did you mean exp001?"),
        (["package", "exp01"], "exp01"),
        (["package", "exp001/7"], "exp001 has runs 1"),
        (["compare", "exp001/001-01234567"], "exp001/001-01234567: no such run"),
        (["compare", "exp001", "exp002"], "exp002: no such run"),
        (["data", "pin", "stag1"], "did you mean stage1?"),
        (["data", "diff", "0000", "ffff"], "0000: no such version"),
        (["lb", "add", "exp001"], "give --public, --private or both"),
        (["lb", "add", "exp001", "--public", "nan"], "a score is a finite number"),
        (["check", "no/such.csv"], "no/such.csv: no such file, folder or run"),
        (["-C", "nowhere", "compare"], "-C nowhere: no such folder"),
    ],
)  # fmt: skip
def test_words_that_mean_nothing_are_told_and_end_with_2(toy: Path, words: list[str], told: str) -> None:
    ended = kagkit(toy, *words, code=2)
    assert told in ended.err
    assert ended.out == "" or words[0] == "check"
    document = kagkit(toy, *words, "--json", code=2)
    assert document.err == ""
    assert set(document.json) == (ERROR if words[0] != "check" else {"ok", "problems"})


@pytest.mark.parametrize(
    "words", [["run", "exp001"], ["compare"], ["check"], ["data", "pin"], ["package", "exp001"]]
)
def test_outside_of_a_workspace_every_command_says_so(tmp_path: Path, words: list[str]) -> None:
    ended = kagkit(tmp_path, *words, code=2)
    assert "no competition.yaml here or above" in ended.err
    assert "kagkit -C DIR" in ended.err


def test_a_workspace_is_found_from_below_by_a_folder_given_and_by_a_manifest(
    toy: Path, tmp_path: Path
) -> None:
    for folder, words in [
        (toy / "data", ["run", "exp001"]),
        (tmp_path, ["-C", "toy", "run", "exp001"]),
        (tmp_path, ["run", "toy/exp001.yaml"]),
        (toy, ["run", str(toy / "exp001.yaml")]),
    ]:
        assert "nothing to do: exp001/1" in kagkit(folder, *words).err


def test_json_is_one_document_with_the_keys_programs_rely_on(toy: Path) -> None:
    facts = kagkit(toy, "run", "exp001", "--json")
    assert (facts.err, set(facts.json)) == ("", RUN)
    assert set(facts.json["folds"][0]) == {"seed", "fold", "score", "rows"}
    assert set(facts.json["weights"][0]) == {"seed", "fold", "name", "sha256", "bytes"}
    assert set(facts.json["tasks"]) == {"planned", "done", "reused", "failed"}
    package = kagkit(toy, "package", "exp001", "--json").json
    assert {"path", "sha256", "rehearsal"} <= set(package)
    kagkit(toy, "lb", "add", "exp001", "--public", "0.5", "--private", "0.25", "--json")
    compared = kagkit(toy, "compare", "--json").json
    assert {"metric", "greater_is_better", "rows", "spearman", "alarms"} <= set(compared)
    assert set(compared["rows"][0]) >= ROW
    assert compared["rows"][0]["gap"] == pytest.approx(0.5 - compared["rows"][0]["cv"])
    assert set(compared["spearman"]) == {"cv_public", "cv_private", "public_private"}
    assert kagkit(toy, "check", "--json").json == {"ok": True, "problems": []}
    pinned = kagkit(toy, "data", "pin", "--json").json
    assert set(pinned) == {"version", "files", "bytes", "seconds", "hashed", "unchanged"}
    assert kagkit(toy, "data", "verify", "--deep", "--json").json["hashed"] == 2
    assert kagkit(toy, "data", "pin", "--deep", "--json").json["hashed"] == 2
    assert kagkit(toy, "data", "diff", "stage1", "--json").json["changes"] == []


def test_several_experiments_are_one_document_and_an_error_is_one(toy: Path) -> None:
    write_manifest(toy, "exp002", note="the same")
    both = kagkit(toy, "run", "exp001", "exp002", "--json").json
    assert [facts["run"] for facts in both] == ["exp001/1", "exp002/1"]
    edit(toy / "data/train.csv", "id_003,", "id_xxx,")
    stopped = kagkit(toy, "run", "exp001", "--json", code=3)
    assert (stopped.err, set(stopped.json), stopped.json["error"]) == ("", ERROR, "DataError")
    assert set(stopped.json["problems"][0]) == {"where", "found", "expected", "hint", "check"}
    checked = kagkit(toy, "check", "--json", code=3).json
    assert (checked["ok"], checked["problems"][0]["check"]) == (False, "data")
    verified = kagkit(toy, "data", "verify", "--json", code=3).json
    assert [change["path"] for change in verified["changes"]] == ["data/train.csv"]


@pytest.mark.parametrize("verb", ["pin", "verify"])
def test_the_counter_of_files_ends_its_line(toy: Path, verb: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kagkit.cli.drawing.on_terminal", lambda: True)
    told = kagkit(toy, "data", verb, "--deep").err
    assert told.startswith("\r")
    assert told.endswith("2 files, 0 MB\n")


def test_a_submission_is_checked_by_its_file(toy: Path) -> None:
    kagkit(toy, "package", "exp001")
    path = "submissions/exp001-001/submission.csv"
    assert kagkit(toy, "check", path).out.endswith("\nno problems\n")
    table = (toy / path).read_text()
    (toy / "mine.csv").write_text(table.replace("id_040,", "id_999,"))
    told = kagkit(toy, "check", "mine.csv", code=5)
    assert "1 of 20 missing: id_040" in told.err
    assert "1 not in the sample submission: id_999" in told.err


def test_stack_traces_are_shown_with_debug_alone(toy: Path) -> None:
    assert "Traceback" not in kagkit(toy, "run", "exp009", code=2).err
    assert "Traceback" in kagkit(toy, "run", "exp009", "--debug", code=2).err


def test_nothing_is_coloured_where_nobody_looks(toy: Path) -> None:
    write_manifest(toy, args={"flip": True})
    for words in (["run", "exp001"], ["compare"], ["run", "exp009"]):
        out, err = process(toy, *words).communicate()
        assert "\x1b" not in out + err
        assert "\r" not in out + err


def test_a_reader_who_leaves_early_is_no_error(toy: Path) -> None:
    for words in (["compare", "--json"], ["run", "exp009", "--json"], ["run", "--help"]):
        with process(toy, *words) as told:
            assert told.stdout is not None
            assert told.stderr is not None
            told.stdout.close()
            assert (told.wait(), told.stderr.read()) == (0, "")


def _at_work(root: Path) -> list[int]:
    """The processes that a kagkit of this workspace started, and it."""
    mark = f"KAGKIT_TEST={root}\0".encode()
    found = []
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and mark in (folder / "environ").read_bytes():
                found.append(int(folder.name))
        except OSError:
            continue
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_ctrl_c_ends_at_once_leaves_no_process_and_costs_the_running_task_alone(tmp_path: Path) -> None:
    root = make_workspace(tmp_path / "toy", folds={"main": {"n": 4}})
    write_recipe(root, "slow.py", SLOW)
    write_manifest(root, recipe="slow.py", resources={"cpus": len(os.sched_getaffinity(0))})
    working = process(root, "run", "exp001")
    begun = (root / "runs/.work").glob
    wait_for(lambda: list(begun("*/checkpoint/begun")) or working.poll() is not None, "the last task begins")
    assert working.poll() is None
    working.send_signal(signal.SIGINT)
    out, err = working.communicate(timeout=PATIENCE)  # the task would sleep for longer
    assert (working.returncode, out) == (130, "")
    wait_for(lambda: not _at_work(root), "no process is left")
    assert "interrupted: what was finished is kept; run the same command to go on" in err
    assert "Traceback" not in err
    assert plan(root) == {"train seed 0 fold 3": "interrupted"}
    facts = run(root)
    assert facts["complete"]
    assert facts["tasks"] == {"planned": 12, "done": 3, "reused": 9, "failed": 0}
    assert record(root)["deterministic"]
