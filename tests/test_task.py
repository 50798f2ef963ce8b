from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from kagkit.foundation.files import append_json_line, read_json_lines
from kagkit.runs.task import Task


def test_a_task_offers_the_facts_it_is_made_with(tmp_path: Path) -> None:
    task = Task(tmp_path / "events.jsonl", seed=3, fold=None, out=tmp_path / "out")
    assert (task.seed, task.fold, task.out) == (3, None, tmp_path / "out")


def test_only_train_sees_rows_with_targets(tmp_path: Path) -> None:
    task = Task(tmp_path / "events.jsonl", seed=3)
    for name in ("train_rows", "valid_rows"):
        with pytest.raises(AttributeError, match=f"{name}: only train sees rows with targets"):
            getattr(task, name)


def test_weights_are_there_only_once_there_are_some(tmp_path: Path) -> None:
    with pytest.raises(AttributeError, match="weights"):
        _ = Task(tmp_path / "events.jsonl", seed=3).weights


def test_rows_are_read_when_they_are_asked_for_and_once(tmp_path: Path) -> None:
    asked = []

    def rows(which: str) -> pd.DataFrame:
        asked.append(which)
        return pd.DataFrame({"which": [which]})

    task = Task(tmp_path / "events.jsonl", rows)
    assert asked == []
    assert task.valid_rows["which"].tolist() == ["valid"]
    assert task.valid_rows is task.valid_rows
    assert task.train_rows["which"].tolist() == ["train"]
    assert asked == ["valid", "train"]


def test_numbers_are_logged_a_line_each(tmp_path: Path) -> None:
    task = Task(tmp_path / "events.jsonl")
    task.log(step=1, loss=0.5, hits=3)
    task.log(auc=True)
    assert read_json_lines(tmp_path / "events.jsonl") == [
        {"event": "log", "step": 1, "values": {"loss": 0.5, "hits": 3.0}},
        {"event": "log", "step": None, "values": {"auc": 1.0}},
    ]


def test_progress_is_told_not_too_often_and_its_end_always(tmp_path: Path) -> None:
    task = Task(tmp_path / "events.jsonl")
    for step in range(1000):
        task.progress(step + 1, 1000)
    told = read_json_lines(tmp_path / "events.jsonl")
    assert len(told) < 500
    assert told[-1] == {"event": "progress", "done": 1000.0, "total": 1000.0}


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_is_logged_and_ends_no_training(loss: float, tmp_path: Path) -> None:
    task = Task(tmp_path / "events.jsonl")
    task.log(step=7, loss=loss)
    (told,) = read_json_lines(tmp_path / "events.jsonl")
    assert told == {"event": "log", "step": 7, "values": {"loss": str(loss)}}


def test_what_was_logged_after_a_mark_is_forgotten_and_nothing_else(tmp_path: Path) -> None:
    events = tmp_path / "events.jsonl"
    append_json_line(events, {"event": "started", "time": 1})
    task = Task(events)
    task.log(step=0, loss=0.5)
    mark = task.mark()
    task.log(step=1, loss=0.4)
    task.progress(1, 2)
    append_json_line(events, {"event": "started", "time": 2})
    with events.open("a") as stream:
        stream.write('{"event": "lo')
    task.rewind(mark)
    task.log(step=1, loss=0.4)
    told = [(event["event"], event.get("step"), event.get("time")) for event in read_json_lines(events)]
    assert told == [("started", None, 1), ("log", 0, None), ("started", None, 2), ("log", 1, None)]


def test_a_task_that_told_nothing_has_nothing_to_forget(tmp_path: Path) -> None:
    task = Task(tmp_path / "events.jsonl")
    assert task.mark() == 0
    task.rewind(0)
    assert not (tmp_path / "events.jsonl").exists()
