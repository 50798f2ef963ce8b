from __future__ import annotations

import io
import sys
from contextlib import redirect_stderr

import click

from kagkit.cli.run_drawing import RunDrawing
from kagkit.runs.events import PlanMade, TaskDone, TaskStarted

PLAN = PlanMade("exp001", (), done=1, expected=2, restart=False)


class Terminal(io.StringIO):
    """A standard error that people look at."""

    def isatty(self) -> bool:
        return True


def test_a_question_after_the_plan_is_readable_and_the_bars_come_with_the_work() -> None:
    with redirect_stderr(Terminal()) as terminal, RunDrawing(silent=False, explain=False) as drawing:
        drawing.draw(PLAN)
        assert sys.stderr is terminal
        click.echo("Go on? [y/N]: ", err=True)
        assert terminal.getvalue() == "exp001: 2 tasks to do, 1 done\nGo on? [y/N]: \n"
        drawing.draw(TaskStarted("train seed 0 fold 0", "new", None))
        assert sys.stderr is not terminal
        drawing.draw(TaskDone("train seed 0 fold 0", 1.0))
    assert "train seed 0 fold 0" in terminal.getvalue()
    assert "train seed 0 fold 0 done in 1.0 s" in terminal.getvalue()


def test_the_bars_are_gone_where_the_work_breaks_off() -> None:
    with redirect_stderr(Terminal()) as terminal:
        try:
            with RunDrawing(silent=False, explain=False) as drawing:
                drawing.draw(PLAN)
                drawing.draw(TaskStarted("train seed 0 fold 0", "new", None))
                raise KeyboardInterrupt
        except KeyboardInterrupt:
            assert sys.stderr is terminal


def test_one_task_is_no_plural() -> None:
    with redirect_stderr(io.StringIO()) as told, RunDrawing(silent=False, explain=True) as drawing:
        drawing.draw(PlanMade("exp001", (), done=1, expected=0, restart=False))
        drawing.draw(PlanMade("exp001", (), done=0, expected=1, restart=False))
    assert told.getvalue() == "exp001: nothing to do, 1 task done\nexp001: 1 task to do, 0 done\n"
