"""Say in words why a task is to do, by comparing it with the latest run, and how long it took then."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from kagkit.foundation.component import WHOLE
from kagkit.foundation.files import read_json_lines
from kagkit.runs.record import Run
from kagkit.runs.spec import TaskSpec
from kagkit.runs.store import Stored, is_damaged
from kagkit.workspace.layout import Workspace


@dataclass(frozen=True)
class History:
    """What the latest run of an experiment was made of.

    Attributes:
        workspace: The workspace.
        previous: The latest run; None before the first.
    """

    workspace: Workspace
    previous: Run | None

    def ingredients(self, spec: TaskSpec) -> dict[str, Any]:
        """What the same task was made of in the latest run; empty where it was not in it."""
        found: dict[str, Any] = self._tasks.get(spec.identity, {}).get("ingredients", {})
        return found

    def reason(self, spec: TaskSpec, stored: Stored | None) -> str:
        """Why a task is to do.

        Args:
            spec: The task.
            stored: A finished task of the same key that may not be used again, if there is one.

        Returns:
            `missing`, `changed: args.lr`, `failed before`, `interrupted`, `damaged`, or what it read.
        """
        if stored is not None:
            return f"read {', '.join(stored.record.undeclared)}, which `code:` does not declare"
        if is_damaged(self.workspace.tasks, spec.key):
            return "damaged"
        work = self.workspace.work / spec.key
        if (work / "error.json").exists():
            return "failed before"
        if work.exists():
            return "interrupted"
        before, now = self.ingredients(spec), spec.ingredients
        changed = sorted(name for name in {**before, **now} if before.get(name) != now.get(name))
        words = ", ".join(name.removesuffix(f":{WHOLE}") for name in changed)
        return f"changed: {words}" if before and changed else "missing"

    def estimate(self, spec: TaskSpec) -> float | None:
        """The seconds the same task took in the latest run, or else the mean of its kind; None if unknown."""
        if spec.identity in self._events:
            return float(self._events[spec.identity]["seconds"])
        alike = [float(task["seconds"]) for task in self._events.values() if task["kind"] == spec.kind]
        return sum(alike) / len(alike) if alike else None

    @cached_property
    def _tasks(self) -> dict[str, Any]:
        return {task["identity"]: task for task in self.previous.data["tasks"]} if self.previous else {}

    @cached_property
    def _events(self) -> dict[str, Any]:
        events = read_json_lines(self.previous.folder / "events.jsonl") if self.previous else []
        return {event["identity"]: event for event in events if event["event"] == "task"}
