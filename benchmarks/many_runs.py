"""Time `compare` on thousands of runs, with noise on some, and showing runs in MLflow, beside point by point.

One run is made as users make it; the others are copies of it by other names, with other scores.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from measuring import Target, ceiling, installed, make_new, report, time_command, write_toy

ROUNDS = 3
ROWS, COLUMNS = 20_000, 4
SCORED = 10  # the host has seen one run in so many
MEASURED = 20  # runs whose noise is measured
SHOWN, POINTS = 100, 3_000
ALONE = 300  # points logged one by one: each costs the same
RECIPE = '''"""Guess by the sign of a column, and log a curve."""

import json


def train(task):
    for step in range(STEPS):
        task.log(step=step, loss=1 / (1 + step))
    (task.out / "model.json").write_text(json.dumps({"above": 0.0}))


def predict(task, model, rows):
    above = json.loads((task.weights / "model.json").read_text())["above"]
    return (rows["feature0"] > above).astype("float64").to_frame("target")
'''
TOLD = "2026-03-01T12:00:00+00:00"
MANIFEST = "kagkit: 1\nrecipe: curve.py\n"


def main() -> None:
    os.environ.update(KAGKIT_NO_MIRROR="1", MLFLOW_DISABLE_TELEMETRY="true")
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder, "many")
        write_toy(root, ROWS, COLUMNS)
        (root / "curve.py").write_text(RECIPE.replace("STEPS", str(POINTS // 5)))
        (root / "curve.yaml").write_text(MANIFEST)
        make_new(root)
        time_command(installed("kagkit"), "run", "curve", "-y", cwd=root)
        seconds = measure(root, Path(folder))
    limits = {1_000: 2, 10_000: 10}
    compares = [ceiling(seconds, f"compare, {count:,} runs", most) for count, most in limits.items()]
    show, alone = f"show {SHOWN} runs of {POINTS:,} points", f"log {ALONE} points, one by one"
    times = seconds[alone][0] / ALONE * SHOWN * POINTS / seconds[show][0]
    told = f"{show}: at least 20 times as fast as one by one"
    report("Many runs", seconds, [*compares, Target(told, f"{times:.0f}", times >= 20)])


def measure(root: Path, folder: Path) -> dict[str, list[float]]:
    """Seconds of everything, by name; the workspace grows from one to the next."""
    bare = (installed("kagkit"), "compare", "--no-noise")
    copy_run(root, MEASURED)
    found = {f"compare with the noise of {MEASURED} runs of {ROWS:,} rows": [compare_noise(root)]}
    copy_run(root, SHOWN)
    sync = (installed("kagkit"), "track", "sync")
    time_command(*sync, "--help")  # modules are compiled before anything is timed
    found[f"show {SHOWN} runs of {POINTS:,} points"] = [time_command(*sync, cwd=root)]
    found[f"log {ALONE} points, one by one"] = [log_alone(folder / "alone.db")]
    for count in (1_000, 10_000):
        copy_run(root, count)
        found[f"compare, {count:,} runs"] = repeat(lambda: time_command(*bare, cwd=root))
    return found


def repeat(action: Callable[[], float]) -> list[float]:
    action()
    return [action() for _ in range(ROUNDS)]


def compare_noise(root: Path) -> float:
    shutil.rmtree(root / ".kagkit" / "noise", ignore_errors=True)
    return time_command(installed("kagkit"), "compare", cwd=root)


def copy_run(root: Path, count: int) -> None:
    """Copy the first run until there are so many, every tenth with a score on the leaderboard."""
    from kagkit.foundation.files import read_json
    from kagkit.runs.record import seal_record

    first = next((root / "runs/curve").glob("001-*"))
    record = read_json(first / "record.json")
    for number in range(1, count):
        name = f"curve{number:05d}"
        if (root / "runs" / name).exists():
            continue
        place = root / "runs" / name / first.name
        shutil.copytree(first, place, copy_function=os.link)
        (place / "record.json").unlink()
        told = {"experiment": name, "run": f"{name}/1", "cv": record["cv"] + number * 1e-6}
        (place / "record.json").write_text(json.dumps(seal_record(record | told)))
        line = {"event": "score", "time": TOLD, "run": f"{name}/1", "source": "by hand"}
        if number % SCORED:
            continue
        scores = {"public": told["cv"] - 0.01, "private": None}
        with (root / "leaderboard.jsonl").open("a") as ledger:
            ledger.write(json.dumps(line | scores) + "\n")


def log_alone(store: Path) -> float:
    """Log points as a training loop does, one call each, into a store like ours."""
    import mlflow

    mlflow.set_tracking_uri(f"sqlite:///{store}")
    client = mlflow.MlflowClient()
    run = client.create_run(client.create_experiment("alone")).info.run_id
    client.log_metric(run, "loss", 1.0, step=0)
    began = time.perf_counter()
    for step in range(ALONE):
        client.log_metric(run, "loss", 1 / (1 + step), step=1 + step)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
