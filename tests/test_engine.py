from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kagkit.engine import local
from kagkit.engine.forkserver import ForkServerEngine, start_engine
from kagkit.engine.jobs import Engine, Finished, Job
from kagkit.engine.local import ExecEngine
from kagkit.foundation.errors import RunError
from tests.patience import PATIENCE, wait_for

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc, and forks")

ENTRIES = """
import gc, json, os, signal, subprocess, sys, time
from pathlib import Path

def speak(argument):
    print("said", argument)
    os.write(1, b"native words\\n")
    print("to stderr: \\u00fc", file=sys.stderr)
    subprocess.run(["echo", "from a program"], check=True)
    return 0

def leave(argument):
    return int(argument)

def fail(argument):
    raise ValueError(argument)

def leave_early(argument):
    sys.exit(0)

def sleep(argument):
    print("begun")
    time.sleep(float(argument))
    return 0

def tell(argument):
    import helper_in_workspace
    told = {
        "helper": helper_in_workspace.WORD,
        "path": sys.path[0],
        "arguments": sys.argv,
        "folder": os.getcwd(),
        "environment": [os.environ.get(name) for name in ("OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES")],
        "descriptors": [name for name in os.listdir("/dev/fd") if os.path.exists(f"/dev/fd/{name}")],
        "input": os.readlink("/proc/self/fd/0"),
        "leads its group": os.getpgid(0) == os.getpid(),
        "handlers": [str(signal.getsignal(number)) for number in range(1, 32)],
        "signals wake": signal.set_wakeup_fd(-1),
        "garbage is collected": gc.isenabled(),
    }
    Path(argument).write_text(json.dumps(told))
    return 0

def have_a_child(argument):
    child = subprocess.Popen(["sleep", "900"])
    Path(argument).write_text(f"{os.getppid()} {os.getpid()} {child.pid} ")
    time.sleep(900)
    return 0

def leave_a_child(argument):
    child = subprocess.Popen(["sleep", "900"])
    Path(argument).write_text(f"{child.pid} ")
    return 0

def refuse_to_end(argument):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    have_a_child(argument)

def find_in_the_server(argument):
    return 0 if argument in MODULES else 1

def count_threads_of_the_server(argument):
    return len(os.listdir(f"/proc/{os.getppid()}/task"))

MODULES = set(sys.modules)
"""
TRAINING = """
import torch
from safetensors.torch import save_file

def train(argument):
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.Flatten(), torch.nn.Linear(144, 2))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    for _ in range(5):
        loss = torch.nn.functional.cross_entropy(model(torch.randn(8, 1, 8, 8)), torch.randint(2, (8,)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    save_file(model.state_dict(), argument)
    return 0
"""
PARENT = """
import sys, time
from pathlib import Path
from kagkit.engine.forkserver import ForkServerEngine
from kagkit.engine.jobs import Job
from kagkit.engine.local import ExecEngine

folder = Path.cwd()
engine = ExecEngine({}, folder) if sys.argv[1] == "exec" else ForkServerEngine({}, folder, [])
engine.start(Job("job", "entries:have_a_child", "pids", folder / "job.log", {}))
time.sleep(900)
"""
ENVIRONMENT = {"OMP_NUM_THREADS": "1"}


def make_engine(kind: str, workspace: Path, preload: tuple[str, ...] = ()) -> Engine:
    if kind == "exec":
        return ExecEngine(ENVIRONMENT, workspace)
    return ForkServerEngine(ENVIRONMENT, workspace, preload)


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    folder = tmp_path / "workspace"
    folder.mkdir()
    (folder / "entries.py").write_text(ENTRIES)
    (folder / "training.py").write_text(TRAINING)
    (folder / "helper_in_workspace.py").write_text("WORD = 'found'")
    (folder / "slow_to_import.py").write_text("import time; time.sleep(900)")
    return folder


@pytest.fixture(params=["exec", "fork"])
def engine(request: pytest.FixtureRequest, workspace: Path) -> Iterator[Engine]:
    with make_engine(request.param, workspace) as made:
        yield made


@pytest.fixture
def fork_engine(workspace: Path) -> Iterator[Engine]:
    with make_engine("fork", workspace) as made:
        yield made


def job(workspace: Path, function: str, argument: object = "", name: str = "job", **env: str) -> Job:
    entry = function if ":" in function else f"entries:{function}"
    return Job(name, entry, str(argument), workspace / "logs" / f"{name}.log", env)


def log_of(workspace: Path, name: str = "job") -> str:
    path = workspace / "logs" / f"{name}.log"
    return path.read_text(encoding="utf-8") if path.exists() else ""


def finish_all(engine: Engine) -> dict[str, Finished]:
    finished: dict[str, Finished] = {}
    deadline = time.monotonic() + PATIENCE
    while engine.running:
        assert time.monotonic() < deadline
        finished |= {end.name: end for end in engine.poll(1.0)}
    return finished


def result_of(engine: Engine, task: Job) -> Finished:
    engine.start(task)
    return finish_all(engine)[task.name]


def pids_in(path: Path, count: int) -> list[int]:
    wait_for(lambda: path.exists() and path.read_text().count(" ") == count)
    return [int(pid) for pid in path.read_text().split()]


def alive(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


# --- what a job is, whoever starts it ---


def test_everything_a_job_says_is_appended_to_its_log_in_order(engine: Engine, workspace: Path) -> None:
    for word in ("one", "two"):
        assert result_of(engine, job(workspace, "speak", word)) == Finished("job", 0, None)
    rest = "native words\nto stderr: ü\nfrom a program\n"
    assert log_of(workspace) == f"said one\n{rest}said two\n{rest}"


@pytest.mark.parametrize(
    ("function", "argument", "code", "words"),
    [
        ("leave", 0, 0, ""),
        ("leave", 7, 7, ""),
        ("leave", 256, 1, "an exit code is 0 to 255"),
        ("fail", "broken bone", 1, "ValueError: broken bone"),
        ("leave_early", "", 1, "SystemExit: 0"),
        ("no_such_entry", "", 1, "no attribute 'no_such_entry'"),
        ("no_such_module:entry", "", 1, "No module named 'no_such_module'"),
    ],
)
def test_a_job_ends_with_what_its_entry_returns_and_tells_its_log_why(
    engine: Engine, workspace: Path, function: str, argument: object, code: int, words: str
) -> None:
    assert result_of(engine, job(workspace, function, argument)) == Finished("job", code, None)
    assert words in log_of(workspace)
    assert bool(words) == bool(log_of(workspace))


def told_by(kind: str, workspace: Path) -> Any:
    with make_engine(kind, workspace) as made:
        assert result_of(made, job(workspace, "tell", "told", CUDA_VISIBLE_DEVICES="1")).code == 0
    return json.loads((workspace / "told").read_text())


def test_exec_and_fork_give_a_job_the_same_surroundings(workspace: Path) -> None:
    told = told_by("fork", workspace)
    assert told == told_by("exec", workspace)
    assert (told["helper"], told["path"], told["folder"]) == ("found", str(workspace), str(workspace))
    assert told["environment"] == ["1", "1"]
    assert (told["descriptors"], told["input"]) == (["0", "1", "2"], "/dev/null")
    assert told["leads its group"]
    assert told["signals wake"] == -1
    assert told["garbage is collected"]
    assert "CUDA_VISIBLE_DEVICES" not in os.environ


def test_a_file_of_the_workspace_replaces_no_module_that_starts_a_job(
    engine: Engine, workspace: Path
) -> None:
    (workspace / "hashlib.py").write_text("raise SystemError('the wrong hashlib')")
    assert result_of(engine, job(workspace, "leave", 0)).code == 0


def test_exec_and_fork_train_the_same_bytes_and_the_server_has_one_thread(workspace: Path) -> None:
    files = {kind: workspace / f"{kind}.safetensors" for kind in ("exec", "fork")}
    with (
        make_engine("exec", workspace) as exec_engine,
        make_engine("fork", workspace, ("torch", "pandas")) as fork_engine,
    ):
        exec_engine.start(job(workspace, "training:train", files["exec"], "exec"))
        fork_engine.start(job(workspace, "training:train", files["fork"], "fork"))
        fork_engine.start(job(workspace, "count_threads_of_the_server", name="threads"))
        finished = finish_all(exec_engine) | finish_all(fork_engine)
    assert {name: end.code for name, end in finished.items()} == {"exec": 0, "fork": 0, "threads": 1}
    assert files["exec"].read_bytes() == files["fork"].read_bytes()


# --- starting and polling ---


def test_poll_returns_as_soon_as_a_job_finishes_and_reports_it_once(engine: Engine, workspace: Path) -> None:
    engine.start(job(workspace, "sleep", 900, "slow"))
    engine.start(job(workspace, "leave", 3, "quick"))
    assert list(engine.running) == ["slow", "quick"]
    began = time.monotonic()
    assert engine.poll(900.0) == [Finished("quick", 3, None)]
    assert time.monotonic() - began < PATIENCE
    assert list(engine.running) == ["slow"]
    assert engine.poll(0.0) == []
    assert engine.poll(0.05) == []


def test_poll_does_not_wait_for_nothing(engine: Engine) -> None:
    began = time.monotonic()
    assert engine.poll(900.0) == []
    assert time.monotonic() - began < PATIENCE


def test_a_killed_job_is_reported_by_its_signal_and_the_others_go_on(engine: Engine, workspace: Path) -> None:
    engine.start(job(workspace, "sleep", 900, "victim"))
    engine.start(job(workspace, "sleep", 0.3, "other"))
    wait_for(lambda: "begun" in log_of(workspace, "victim"))
    os.kill(engine.pid("victim"), signal.SIGKILL)
    assert finish_all(engine) == {"victim": Finished("victim", None, 9), "other": Finished("other", 0, None)}


def test_a_name_runs_once_at_a_time(engine: Engine, workspace: Path) -> None:
    engine.start(job(workspace, "sleep", 900))
    with pytest.raises(RunError, match="a job of this name is running"):
        engine.start(job(workspace, "leave", 0))
    engine.cancel()
    assert result_of(engine, job(workspace, "leave", 0)).code == 0


def test_a_job_that_does_not_run_has_no_process(engine: Engine, workspace: Path) -> None:
    with pytest.raises(RunError, match="job is not running"):
        engine.pid("job")


def test_what_a_finished_job_left_running_is_ended(engine: Engine, workspace: Path) -> None:
    assert result_of(engine, job(workspace, "leave_a_child", workspace / "pids")).code == 0
    children = pids_in(workspace / "pids", 1)
    wait_for(lambda: not alive(children[0]))


# --- cancelling ---


@pytest.mark.parametrize("function", ["have_a_child", "refuse_to_end"])
def test_cancel_ends_jobs_and_their_children_however_long_they_would_take(
    engine: Engine, workspace: Path, function: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "GRACE_SECONDS", 0.5)  # here, to save time; the server waits its 3 seconds
    engine.start(job(workspace, function, workspace / "pids"))
    pids = pids_in(workspace / "pids", 3)[1:]
    began = time.monotonic()
    engine.cancel()
    assert time.monotonic() - began < PATIENCE
    assert engine.running == ()
    assert engine.poll(0.1) == []
    wait_for(lambda: not any(alive(pid) for pid in pids))


def test_cancel_does_not_wait_for_the_imports_of_a_server(workspace: Path) -> None:
    with make_engine("fork", workspace, ("slow_to_import",)) as engine:
        engine.start(job(workspace, "leave", 0))
        began = time.monotonic()
        engine.cancel()
        assert time.monotonic() - began < PATIENCE
        assert engine.running == ()
    assert log_of(workspace) == ""


def test_cancel_catches_a_job_that_has_just_been_forked(fork_engine: Engine, workspace: Path) -> None:
    assert result_of(fork_engine, job(workspace, "leave", 0)).code == 0
    for _ in range(5):
        fork_engine.start(job(workspace, "sleep", 900))
        pid = fork_engine.pid("job")
        began = time.monotonic()
        fork_engine.cancel()
        assert time.monotonic() - began < PATIENCE
        assert not alive(pid)


# --- nothing outlives kagkit ---


@pytest.mark.parametrize("kind", ["exec", "fork"])
def test_a_killed_kagkit_leaves_no_process(workspace: Path, kind: str) -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT, kind], cwd=workspace)
    server, task, child = pids_in(workspace / "pids", 3)
    parent.kill()
    parent.wait()
    wait_for(lambda: not alive(task) and not alive(server))
    if kind == "fork":  # without a server, nobody is left who knows the job's children
        wait_for(lambda: not alive(child))
    else:
        os.kill(child, signal.SIGKILL)


def test_a_killed_server_takes_its_jobs_along_and_they_are_reported(
    fork_engine: Engine, workspace: Path
) -> None:
    fork_engine.start(job(workspace, "have_a_child", workspace / "pids"))
    server, task, child = pids_in(workspace / "pids", 3)
    os.kill(server, signal.SIGKILL)
    wait_for(lambda: not alive(task))  # at once, whether or not somebody polls
    fork_engine.start(job(workspace, "leave", 4, "next"))
    assert finish_all(fork_engine) == {"job": Finished("job", None, 9), "next": Finished("next", 4, None)}
    assert "the fork server ended with -9" in log_of(workspace)
    wait_for(lambda: not alive(child))


def test_a_server_that_cannot_start_is_reported_with_its_words(workspace: Path) -> None:
    with ForkServerEngine({"PYTHONHOME": str(workspace)}, workspace, []) as engine:
        for _ in range(2):
            end = result_of(engine, job(workspace, "leave", 0))
            assert end.code != 0
        assert log_of(workspace).count("the fork server ended") == 2
        assert "Python" in log_of(workspace)


# --- what the fork server shares ---


def test_a_preloaded_module_is_there_before_the_entry_and_a_missing_one_is_no_harm(workspace: Path) -> None:
    with make_engine("fork", workspace, ("no_such_module", "helper_in_workspace", "colorsys")) as engine:
        assert result_of(engine, job(workspace, "find_in_the_server", "colorsys")).code == 0
        assert result_of(engine, job(workspace, "find_in_the_server", "mailbox")).code == 1
        assert result_of(engine, job(workspace, "find_in_the_server", "helper_in_workspace")).code == 1


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that a server finds modules in."""
    folder = tmp_path / "library"
    folder.mkdir()
    monkeypatch.setenv("PYTHONPATH", str(folder), prepend=os.pathsep)
    return folder


def test_what_a_preloaded_module_prints_goes_into_no_log(workspace: Path, library: Path) -> None:
    (library / "chatty.py").write_text("print('hello from chatty', end='')")
    with make_engine("fork", workspace, ("chatty",)) as engine:
        assert result_of(engine, job(workspace, "speak")).code == 0
    assert "chatty" not in log_of(workspace)


def test_a_server_that_leaves_with_0_is_no_success_of_its_jobs(workspace: Path, library: Path) -> None:
    (library / "fleeing.py").write_text("import os; os._exit(0)")
    with make_engine("fork", workspace, ("fleeing",)) as engine:
        assert result_of(engine, job(workspace, "leave", 0)) == Finished("job", 1, None)


def test_fifty_quick_jobs_are_each_reported_once(fork_engine: Engine, workspace: Path) -> None:
    for number in range(50):
        fork_engine.start(job(workspace, "leave", number, f"job{number}"))
    finished = finish_all(fork_engine)
    assert {name: end.code for name, end in finished.items()} == {f"job{n}": n for n in range(50)}


def test_linux_gets_the_fork_server(workspace: Path) -> None:
    with start_engine(ENVIRONMENT, workspace, []) as engine:
        assert isinstance(engine, ForkServerEngine)
        assert result_of(engine, job(workspace, "leave", 5)).code == 5
