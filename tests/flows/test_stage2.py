from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from kagkit.foundation.files import file_sha256
from kagkit.foundation.strictyaml import dump_yaml, read_yaml
from kagkit.stages.second import SecondStage
from kagkit.workspace.layout import Workspace
from kagkit.workspace.ledger import Scores, add_event, add_scores
from tests.flows.test_second_stage import oof, release
from tests.terminal import edit, kagkit, newest_run, record
from tests.toy import make_workspace, write_manifest, write_recipe

FOLDS = {"main": {"n": 2}}
RULES = {"rows": {"key": ["id"], "group": "group"}, "folds": FOLDS}
WARM = {"priority": 1, "folds": [0], "start": "weights", "args": {"shift": 0.8}}
LOCK, DECISIONS = "stage1.lock.yaml", "stage2.decisions.yaml"


@pytest.fixture(scope="session")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace at the end of stage 1: two models and their blend have run. For reading only."""
    root = make_workspace(tmp_path_factory.mktemp("first") / "toy", **RULES)
    write_manifest(root, "exp002", args={"shift": 0.2}, stage2=WARM)
    write_manifest(root, "FINAL", recipe="kagkit.recipes.blend", inputs={"a": "exp001", "b": "exp002"})
    kagkit(root, "run", "FINAL")
    return root


@pytest.fixture(scope="session")
def second(first: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same once everything was retrained in stage 2. For reading only."""
    root = shutil.copytree(first, tmp_path_factory.mktemp("second") / "toy")
    begin(root)
    kagkit(root, "stage2", "--retrain=all")
    return root


@pytest.fixture
def ended(first: Path, tmp_path: Path) -> Path:
    """A copy of the end of stage 1, to be changed."""
    return shutil.copytree(first, tmp_path / "toy")


@pytest.fixture
def retrained(second: Path, tmp_path: Path) -> Path:
    """A copy of the finished stage 2, to be changed."""
    return shutil.copytree(second, tmp_path / "toy")


def begin(root: Path) -> None:
    """Freeze the final, and release stage 2."""
    kagkit(root, "freeze", "FINAL.yaml")
    release_here(root)


def release_here(root: Path) -> None:
    """Release stage 2; the folds stay as they are declared."""
    release(root)
    path = root / "competition.yaml"
    path.write_text(path.read_text() + dump_yaml({"folds": FOLDS}))


def some_weights(root: Path) -> Path:
    return next((newest_run(root, "exp001") / "weights").rglob("mean.json"))


# --- freeze ---


def test_a_final_is_locked_with_all_that_feeds_it_and_once(ended: Path) -> None:
    told = kagkit(ended, "freeze", "FINAL.yaml", "--json").json
    assert [each["run"] for each in told["members"]] == ["exp001/1", "exp002/1", "FINAL/1"]
    lock = read_yaml(ended / LOCK, LOCK).plain
    kept = record(ended, "exp001")
    member = lock["members"]["exp001/1"]
    assert member["weights"] == {each["name"]: each["sha256"] for each in kept["weights"]}
    assert member["oof"] == kept["oof"]["content_sha256"]
    assert member["folds"]["sha256"] == kept["fold_set"]["sha256"]
    assert lock["finals"]["FINAL"]["submission"] == kept_submission(ended)
    before = (ended / LOCK).read_bytes()
    assert (told["new"], kagkit(ended, "freeze", "FINAL", "--json").json["new"]) == (True, False)
    assert (ended / LOCK).read_bytes() == before


def kept_submission(root: Path, name: str = "FINAL") -> str:
    return file_sha256(newest_run(root, name) / "submission.csv")


def test_two_finals_stand_in_one_lock(ended: Path) -> None:
    kagkit(ended, "freeze", "FINAL.yaml")
    kagkit(ended, "freeze", "exp001.yaml")
    assert set(read_yaml(ended / LOCK, LOCK).plain["finals"]) == {"FINAL", "exp001"}
    release_here(ended)
    assert "2 finals were frozen" in kagkit(ended, "stage2", code=2).err


def test_a_newer_run_takes_the_place_of_a_frozen_one_only_when_told_to(ended: Path) -> None:
    kagkit(ended, "freeze", "exp001")
    frozen = (ended / LOCK).read_bytes()
    write_manifest(ended, "exp001", args={"flip": True})
    assert "edited since exp001/1" in kagkit(ended, "freeze", "exp001").err
    kagkit(ended, "run", "exp001")
    assert "--again" in kagkit(ended, "freeze", "exp001", code=2).err
    kagkit(ended, "freeze", "exp001", "--again")
    assert read_yaml(ended / LOCK, LOCK).plain["finals"]["exp001"]["run"] == "exp001/2"
    assert (ended / "stage1-1.lock.yaml").read_bytes() == frozen


def test_a_damaged_run_is_not_frozen(ended: Path) -> None:
    flip(some_weights(ended))
    assert "mean.json" in kagkit(ended, "freeze", "FINAL", code=7).err
    assert not (ended / LOCK).exists()


def flip(path: Path) -> None:
    """Another last bit, and the time of before."""
    stat, content = path.stat(), bytearray(path.read_bytes())
    content[-1] ^= 1
    path.chmod(0o644)
    path.write_bytes(bytes(content))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def test_the_commit_is_locked_and_what_differs_from_it_kept(ended: Path) -> None:
    def git(*words: str) -> None:
        who = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
        subprocess.run(["git", *who, *words], cwd=ended, check=True, capture_output=True)

    git("init", "-q")
    git("add", "mean.py", "competition.yaml", "exp001.yaml")
    git("commit", "-qm", "one")
    edit(ended / "mean.py", "Guess 1", "Guess one")
    code = kagkit(ended, "freeze", "FINAL", "--json").json["code"]
    patch = (ended / code["patch"]).read_text()
    assert code["dirty"]
    assert "Guess one" in patch
    assert code["patch_sha256"] == file_sha256(ended / code["patch"])
    assert "FINAL.yaml" in code["untracked"]


def test_a_rehearsal_predicts_again_and_tells_its_cost_first(ended: Path) -> None:
    told = kagkit(ended, "freeze", "exp001", "--rehearse", "predict", "--json").json["rehearsal"]
    assert told["members"] == [{"run": "exp001/1", "verdict": "identical", "tier": "exact"}]
    assert told["expected_seconds"] > 0


@pytest.mark.parametrize("what", ["weights", "lock"])
def test_one_flipped_bit_is_refused_ever_after(what: str, ended: Path) -> None:
    begin(ended)
    if what == "weights":
        flip(some_weights(ended))
    else:
        edit(ended / LOCK, "run: FINAL/1", "run: FINAL/2")
    for words in ([], ["--plan"], ["--retrain"]):
        assert ("mean.json" if what == "weights" else LOCK) in kagkit(ended, "stage2", *words, code=7).err


# --- stage 2 ---


def test_without_a_lock_and_before_stage_2_it_says_what_to_do(ended: Path) -> None:
    assert "kagkit freeze" in kagkit(ended, "stage2", code=2).err
    kagkit(ended, "freeze", "FINAL")
    assert "stage 2 has not begun" in kagkit(ended, "stage2", code=3).err
    assert "misplaced" in kagkit(ended, "stage2", "--retrain", "FINAL.yaml", code=2).err


def test_the_safe_file_is_made_of_frozen_weights_before_anything_is_trained(ended: Path) -> None:
    begin(ended)
    told = kagkit(ended, "stage2", "--json").json
    assert told["final"] is None
    assert {each["level"] for each in told["blind"]} == {"ok"}
    assert not list(ended.glob("*-s2.yaml"))
    assert (told["ingest"]["old"], told["ingest"]["released"]) == (40, 20)
    assert file_sha256(ended / told["safe"]["submission"]) == told["safe"]["sha256"]
    for name in ("exp001", "exp002", "FINAL"):
        assert record(ended, f"{name}-s1")["weights"] == record(ended, name)["weights"]
    before = oof(ended, "exp001")
    assert oof(ended, "exp001-s1").loc[before.index].equals(before)
    held_out = {each["run"]: each for each in told["held_out"]}
    assert list(held_out) == ["exp001/1", "exp002/1", "FINAL/1"]
    low, high = held_out["exp001/1"]["ci"]
    assert low <= held_out["exp001/1"]["score"] == 1 <= high
    assert (held_out["exp001/1"]["rows"], held_out["exp001/1"]["cv"]) == (20, record(ended, "exp001")["cv"])


def test_everything_retrained_comes_to_a_final_whose_every_weight_is_told(retrained: Path) -> None:
    told = kagkit(retrained, "stage2", "--retrain=all", "--json").json
    final = told["final"]
    assert final["run"] == "FINAL-s2/1"
    assert sum(each["weight"] for each in final["members"]) == pytest.approx(1)
    stages = {(each["experiment"], each["fold"]): each["stage"] for each in final["members"]}
    assert stages == {
        ("exp001-s2", 0): 2,
        ("exp001-s2", 1): 2,
        ("exp002-s2", 0): 2,
        ("exp002-s2", 1): 1,  # its manifest retrains fold 0 alone
    }
    warm = read_yaml(retrained / "exp002-s2.yaml", "exp002-s2.yaml").plain
    assert (warm["start"], warm["frozen"], warm["args"]) == ("exp002/1", [1], {"shift": 0.8})
    digests = {
        each["sha256"] for name in ("exp001-s2", "exp002-s2") for each in record(retrained, name)["weights"]
    }
    assert {each["weights_sha256"] for each in final["members"]} == digests
    assert [each["decision"] for each in told["models"]] == ["retrain", "retrain"]
    assert [each["state"] for each in told["plan"]] == ["done", "done"]
    assert [each["experiment"] for each in told["plan"]] == ["exp002", "exp001"]


def test_only_the_named_are_retrained_and_the_others_stay_frozen(retrained: Path) -> None:
    final = kagkit(retrained, "stage2", "--retrain=exp001", "--json").json["final"]
    stages = {(each["experiment"], each["stage"]) for each in final["members"]}
    assert stages == {("exp001-s2", 2), ("exp002-s1", 1)}
    frozen = {each["sha256"] for each in record(retrained, "exp002")["weights"]}
    assert frozen >= {each["weights_sha256"] for each in final["members"] if each["stage"] == 1}
    assert "did you mean exp001" in kagkit(retrained, "stage2", "--retrain=exp01", code=2).err


def test_nothing_retrained_is_the_safe_file_again(retrained: Path) -> None:
    told = kagkit(retrained, "stage2", "--retrain=none", "--json").json
    assert told["final"]["run"] == "FINAL-s1/1"
    assert told["final"]["sha256"] == told["safe"]["sha256"]


def test_the_users_word_wins(retrained: Path) -> None:
    text = (retrained / DECISIONS).read_text()
    for word in ("keep", "mix"):
        text = text.replace("decision: retrain", f"decision: {word}", 1)
    (retrained / DECISIONS).write_text(text)
    told = kagkit(retrained, "stage2", "--step", "final", "--json").json
    assert [each["decision"] for each in told["models"]] == ["keep", "mix"]
    assert "your word" in told["models"][0]["why"]
    assert {each["experiment"] for each in told["final"]["members"]} == {
        "exp001-s1",
        "exp002-s1",
        "exp002-s2",
    }
    kagkit(retrained, "stage2", "--retrain=all", "--step", "decide")
    assert (retrained / DECISIONS).read_text() == text
    (retrained / DECISIONS).write_text(text.replace("decision: keep", "decision: kept"))
    assert "did you mean keep?" in kagkit(retrained, "stage2", "--step", "final", code=2).err


def test_an_edited_manifest_is_never_written_again(retrained: Path) -> None:
    path = retrained / "exp001-s2.yaml"
    path.write_text(path.read_text() + "args: {shift: 0.1}\n")
    edited = path.read_bytes()
    assert (
        "exp001-s2.yaml was edited"
        in kagkit(retrained, "stage2", "--retrain=exp001", "--step", "retrain").err
    )
    assert path.read_bytes() == edited
    assert record(retrained, "exp001-s2")["number"] == 2


def test_what_does_not_fit_the_budget_is_told_and_stays_frozen(retrained: Path) -> None:
    for name in ("exp001-s2", "exp002-s2"):
        (retrained / f"{name}.yaml").unlink()
        shutil.rmtree(retrained / "runs" / name)
    told = kagkit(retrained, "stage2", "--plan", "--budget", "0.001s", "--json").json["plan"]
    assert {each["state"] for each in told} == {"no time"}
    assert (
        "stays frozen"
        in kagkit(retrained, "stage2", "--retrain=all", "--budget", "0.001s", "--step", "retrain").err
    )
    told = kagkit(retrained, "stage2", "--retrain=all", "--step", "decide", "--json").json["models"]
    assert [each["decision"] for each in told] == ["keep", "keep"]


def test_training_stops_where_the_time_is_over_and_what_it_was_stays_frozen(
    ended: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(ended)
    with monkeypatch.context() as patch:
        patch.setattr(SecondStage, "_is_over", lambda _: (ended / "exp001-s2.yaml").exists())
        told = kagkit(ended, "stage2", "--retrain=all", "--json").json
    states = {each["experiment"]: (each["state"], each["why"]) for each in told["plan"]}
    assert states["exp001"][0] == "no time"
    assert "the time is over, stopped" in states["exp001"][1]
    decided = {each["experiment"]: (each["decision"], each["why"]) for each in told["models"]}
    assert decided["exp002"][0] == "retrain"
    assert decided["exp001"] == ("keep", states["exp001"][1])
    assert {each["experiment"] for each in told["final"]["members"]} == {"exp001-s1", "exp002-s2"}
    assert "exp001-s2/1" in kagkit(ended, "run", "exp001-s2").err


@dataclass(frozen=True)
class Judged:
    """What a judge of decisions says."""

    decision: str
    why: str
    question: str | None
    evidence: dict[str, Any]

    def as_json(self) -> dict[str, Any]:
        """It as plain data."""
        return {"evidence": self.evidence, "alarms": [], "mislabelled": ["id_041"], "remarks": []}


def test_a_policy_that_weighs_evidence_asks_the_judge(
    retrained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def decide(workspace: Workspace, frozen: Any, new: Any, policy: str) -> Judged:
        asked.append((frozen.name, new.name, policy))
        return Judged("mix", "noisy", "has the convention moved?", {"pooled": {"old": 0.5}})

    judge = ModuleType("kagkit.judgement.decisions")
    judge.decide = decide  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, judge.__name__, judge)
    told = kagkit(retrained, "stage2", "--step", "decide", "--json").json["models"]
    assert asked == [("exp001-s1/1", "exp001-s2/1", "auto"), ("exp002-s1/1", "exp002-s2/1", "auto")]
    assert told[0]["question"] == "has the convention moved?"
    assert told[0]["evidence"] == {"pooled": {"old": 0.5}}
    assert told[0]["mislabelled"] == ["id_041"]
    assert {each["decision"] for each in told} == {"mix"}


@pytest.mark.skipif(sys.platform != "linux", reason="kills a group of processes")
def test_killed_and_typed_again_it_ends_with_the_same_bytes(ended: Path, second: Path) -> None:
    begin(ended)
    words = [sys.executable, "-c", "from kagkit.cli import main; main()", "stage2", "--retrain=all"]
    with (ended / "killed.txt").open("wb") as log:
        process = subprocess.Popen(words, cwd=ended, stdout=log, stderr=log, start_new_session=True)
        while process.poll() is None and not (ended / "exp002-s2.yaml").exists():
            time.sleep(0.01)
        assert process.poll() is None
        time.sleep(0.7)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    final = kagkit(ended, "stage2", "--retrain=all", "--json").json["final"]
    assert final["sha256"] == kept_submission(second, "FINAL-s2")


def test_the_audit_holds_our_metric_against_the_hosts(ended: Path) -> None:
    add_scores(Workspace(ended), "exp001/1", Scores(public=1.0))
    add_scores(Workspace(ended), "exp002/1", Scores(public=0.5))
    begin(ended)
    text = (ended / "competition.yaml").read_text()
    assert kagkit(ended, "stage2", "--step", "audit", "--json").json["audit"][0]["match"] is None
    where = "    sample_submission: data/sample_submission.csv\n"
    (ended / "competition.yaml").write_text(text.replace(where, where + "    public_share: 1\n"))
    told = kagkit(ended, "stage2", "--step", "audit", "--json").json["audit"]
    assert [(each["submission"], each["match"]) for each in told] == [("exp001/1", True), ("exp002/1", False)]
    add_event(Workspace(ended), "score", {"ref": 7, "public": 0.5})
    said = kagkit(ended, "stage2", "--step", "audit").err
    assert "ALARM: exp002/1" in said
    assert "1 submission of no run here, not scored again: 7" in said


def test_where_the_host_marked_its_rows_each_board_is_scored_by_its_own(ended: Path) -> None:
    from kagkit.host.grading import cut_score

    begin(ended)
    path = ended / "data/train2.csv"
    lines = path.read_text().splitlines()
    marks = {line.partition(",")[0]: "Public" if row % 3 else "Private" for row, line in enumerate(lines[1:])}
    marked = [f"{line},{marks[line.partition(',')[0]]}" for line in lines[1:]]
    path.write_text("\n".join([f"{lines[0]},Usage", *marked]) + "\n")
    edit(ended / "competition.yaml", "labels_for:", "usage: Usage\n    labels_for:")
    labels = dict(line.split(",") for line in lines[1:])
    told = (newest_run(ended, "exp002") / "submission.csv").read_text().splitlines()[1:]
    right = {
        line.partition(",")[0]: line.partition(",")[2] == labels[line.partition(",")[0]] for line in told
    }
    means = {}
    for board in ("Public", "Private"):
        hits = [right[name] for name in right if marks[name] == board]
        means[board.lower()] = float(cut_score(sum(hits) / len(hits)))
    add_scores(Workspace(ended), "exp002/1", Scores(**means))
    add_scores(Workspace(ended), "exp001/1", Scores(public=1.0, private=0.9999))
    one, two = kagkit(ended, "stage2", "--step", "audit", "--json").json["audit"]
    assert (two["match"], [each["board"] for each in two["boards"]]) == (True, ["public", "private"])
    assert [each["match"] for each in one["boards"]] == [True, False]
    path.write_text(path.read_text().replace("Private", "private?"))
    assert "Public, Private, Ignored" in kagkit(ended, "stage2", "--step", "audit", code=3).err


KEPT_NOWHERE = '''"""Guess the mean, and keep no weights."""


def train(task):
    return float(task.train_rows["a"].mean())


def predict(task, model, rows):
    return (rows["a"] > model).astype("int64").to_frame("label")
'''


def test_a_model_without_weights_is_told_at_the_freeze_and_can_only_be_trained_again(tmp_path: Path) -> None:
    root = make_workspace(tmp_path / "toy", **RULES)
    write_recipe(root, "bare.py", KEPT_NOWHERE)
    write_manifest(root, "bare", recipe="bare.py")
    kagkit(root, "run", "bare")
    assert "it keeps predictions alone" in kagkit(root, "freeze", "bare").err
    release_here(root)
    told = kagkit(root, "stage2", "--retrain=none", "--json").json
    assert told["safe"]["submission"] is None
    assert told["final"]["run"] == "bare-s2/1"
    assert "can only be trained again" in told["models"][0]["why"]
