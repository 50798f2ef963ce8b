"""`kagkit status`: deadlines, best scores, and what is at work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from kagkit.cli.options import command

EXAMPLES = """
kagkit status            # where the competition stands
kagkit status --json     # the same for programs; times left in seconds
"""


@command("status", EXAMPLES)
def status(as_json: bool) -> None:
    """Say where the competition stands: deadlines, submissions, best scores, work that goes on.

    Deadlines are those of competition.yaml, in UTC and in this machine's time zone. Only what this
    workspace knows is told; the host is not asked.
    """
    from kagkit.cli.drawing import draw_problems, emit_json
    from kagkit.foundation.errors import Problem
    from kagkit.runs.overview import describe_workspace
    from kagkit.workspace.layout import find_workspace

    facts = describe_workspace(find_workspace(Path.cwd()))
    if as_json:
        emit_json(facts)
        return
    _draw(facts)
    draw_problems(Problem(**problem) for problem in facts["problems"])


def _draw(facts: dict[str, Any]) -> None:
    from kagkit.cli.drawing import amount, duration

    click.echo(f"stage {facts['stage']}")
    for told in facts["deadlines"]:
        left = f"{duration(told['left'])} left" if told["left"] > 0 else "over"
        click.echo(f"deadline of {told['what']}: {told['utc']}, here {told['local']}, {left}")
    if not facts["deadlines"]:
        click.echo("no deadline: name it in competition.yaml, stages: {1: {deadline: …}}")
    best = facts["best"]
    for what, name in (("CV", "cv"), ("public LB", "lb")):
        click.echo(
            f"best {what}: {best[name]['score']:.5f}, {best[name]['run']}" if best[name] else f"no {what}"
        )
    for board, told in facts["standing"].items():
        if told is not None:
            draw_standing(board, told)
    _draw_submissions(facts["submissions"])
    _draw_tasks(facts["tasks"])
    disk = facts["disk"]
    click.echo(f"disk: {amount(disk['used'])} used here, {amount(disk['free'])} free")


def draw_standing(board: str, told: dict[str, Any]) -> None:
    """Print a place on a board, and below it how far each medal's line is."""
    if told["rank"] is None:
        click.echo(f"{board} board: {told['teams']} teams, no place of ours, {told['time']}")
        return
    zone = f"{told['zone']} zone" if told["zone"] else "no medal"
    zone += "" if told["awarded"] else ", were medals awarded here"
    before = told["before"]
    was = f"; {before['rank']} before, {before['time']}" if before else ""
    click.echo(f"{board} place: {told['rank']} of {told['teams']} teams, {told['time']}: {zone}{was}")
    for line in told["lines"]:
        ahead = line["ahead"]
        if ahead is not None:
            far = f"{ahead:.5f} to spare" if told["rank"] <= line["rank"] else f"{abs(ahead):.5f} to go"
            click.echo(f"  {line['medal']:<6} to place {line['rank']}, {line['score']:.5f}: {far}")


def _draw_submissions(told: dict[str, Any]) -> None:
    from kagkit.foundation.errors import samples

    left = "" if told["left_today"] is None else f", {told['left_today']} left"
    turns = told["day_turns"]
    day = f"the day turns {turns['utc']}, here {turns['local']}"
    click.echo(f"submissions today: {told['used_today']}{left}; {day}")
    if told["pending"]:
        click.echo(f"no score yet: {samples(told['pending'])}; kagkit lb sync")


def _draw_tasks(tasks: list[dict[str, Any]]) -> None:
    """Running work one by one; the rest by experiment and reason: one mistake fails in every fold."""
    from kagkit.foundation.errors import counted

    alike: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for task in tasks:
        if task["state"] == "running":
            _draw_task(task)
        elif not task["older"]:
            what = task["experiment"] or task["task"]
            alike.setdefault((what, task["state"], task["problem"]), []).append(task)
    for group in alike.values():
        more = f" and {len(group) - 1} more" if len(group) > 1 else ""
        _draw_task(group[0] | {"task": f"{group[0]['task']}{more}"})
    older = sum(task["older"] and task["state"] != "running" for task in tasks)
    if older:
        click.echo(f"{counted(older, 'unfinished folder')} of no present manifest: kagkit clean")


def _draw_task(task: dict[str, Any]) -> None:
    from kagkit.cli.drawing import duration

    name = f"{task['experiment']}: {task['task']}" if task["experiment"] else task["task"]
    told = [task["state"]]
    if task["state"] == "running":
        told += [f"{task['progress']:.0%} done"] if task["progress"] is not None else []
        told += [f"about {duration(task['left'])} left"] if task["left"] is not None else []
    click.echo(f"{name}: {', '.join(told)}" + (f": {task['problem']}" if task["problem"] else ""))


command = status
