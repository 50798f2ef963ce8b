from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kagkit.cli.demo_command import _tell
from kagkit.foundation.errors import ManifestError
from kagkit.foundation.strictyaml import read_yaml
from kagkit.stages.story import ACTS, OPENING, SERVING, Act, Played, Stage
from tests.floors import ROOT
from tests.patience import wait_for
from tests.terminal import record

SMALLER = """
from pathlib import Path
edits = [("competition", "n: 3", "n: 2"), ("unet", "epochs: 16", "batch: 60, epochs: 1")]
for name, old, new in [*edits, ("classifier", "epochs: 20", "batch: 60, epochs: 1")]:
    path = Path(f"{name}.yaml")
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
"""


# `make demo` plays these too.
LEFT_OUT = (
    "package",
    "submit unet",
    "compare",
    "FINAL-s1",
    "--plan",
    "kagkit check",
)


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The story with models of one epoch, and what `--json` tells of it."""
    stage = Stage(tmp_path_factory.mktemp("demo") / "story", silent=True)
    kept = [act for act in ACTS if not any(word in act.command for word in LEFT_OUT)]
    acts = (Act("smaller", f"python -c '{SMALLER}'"), *kept)
    events = [event for event in stage.play(acts) if isinstance(event, Played)]
    assert len(events) == len(acts) + 1
    return stage.workspace, _tell(events)


def test_the_demo_goes_from_an_empty_folder_to_the_private_board(played: tuple[Path, dict[str, Any]]) -> None:
    _, told = played
    assert [each["submission"] for each in told["board"]] == ["FINAL/1", "FINAL-s2/1"]
    assert all(each["private"] is not None for each in told["board"])
    assert set(told) == {"steps", "stage2", "board"}
    assert told["steps"][0]["command"] == "python make_data.py --host ../host"


def test_the_demo_proves_the_metric_and_decides_on_each_model(played: tuple[Path, dict[str, Any]]) -> None:
    root, told = played
    second = told["stage2"]
    assert [(each["submission"], each["match"]) for each in second["audit"]] == [("FINAL/1", True)]
    assert {each["experiment"]: each["policy"] for each in second["models"]} == {
        "unet": "auto",
        "classifier": "auto",
        "gate": "cv",
    }
    assert all(each["evidence"]["train"] and each["evidence"]["released"] for each in second["models"])
    assert second["final"]["run"] == "FINAL-s2/1"
    assert read_yaml(root / "stage1.lock.yaml", "lock").plain["finals"]["FINAL"]["run"] == "FINAL/1"
    ingested = record(root, "unet-s2")["ingested"]
    assert (ingested["old"], ingested["released"], len(ingested["vanished"])) == (158, 160, 2)
    assert not ingested["relabelled"]
    assert ingested["renamed"] == 318


def test_the_page_of_the_demo_shows_what_is_typed() -> None:
    page = (ROOT / "docs/demo.md").read_text(encoding="utf-8")
    typed = [line.removeprefix("$ ") for line in page.splitlines() if line.startswith("$ ")]
    told = [line for line in typed if not line.startswith(("export ", ". "))]
    assert told == [OPENING.command, f"{SERVING.command} &", *(act.command for act in ACTS)]


def test_the_demo_is_not_played_in_a_folder_that_is_in_use(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(ManifestError, match="the demo is not played"):
        list(Stage(tmp_path, silent=True).play())


def living(mark: str) -> set[int]:
    """The processes that have a text in their environment."""
    found = set()
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and mark.encode() in (folder / "environ").read_bytes():
                found.add(int(folder.name))
        except OSError:
            continue
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)])
def test_a_demo_that_is_interrupted_leaves_no_process(tmp_path: Path, number: int, code: int) -> None:
    mark = f"DEMO_OF={tmp_path}"
    with subprocess.Popen(
        [sys.executable, "-P", "-c", "from kagkit.cli import main; main()", "demo", "--keep", "story"],
        cwd=tmp_path,
        env={**os.environ, "DEMO_OF": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        next(line for line in process.stdout if line.startswith("$ kagkit run"))
        assert len(living(mark)) > 1
        process.send_signal(number)
        process.stdout.read()
    assert process.returncode == code
    wait_for(lambda: not living(mark), "everything has ended")
    assert (tmp_path / "story/pneumothorax/data").is_dir()
