"""Find the runs that a run rests on, each before what it feeds, and refuse those that are others now."""

from __future__ import annotations

from kagkit.foundation.errors import Problem, ReproductionError
from kagkit.runs.record import Run, find_run
from kagkit.workspace.layout import Workspace


def trace_runs(workspace: Workspace, run: Run) -> dict[str, Run]:
    """A run with all that feed it, directly or through others, by name; the run itself comes last.

    Raises:
        ManifestError: One of them is not there.
        ReproductionError: One is another run than the one that was fed from, or its record is damaged.
    """
    found: dict[str, Run] = {}
    problems: list[Problem] = []

    def visit(each: Run) -> None:
        for parent in each.data["parents"]:
            if parent["run"] in found:
                continue
            fed = find_run(workspace, parent["run"])
            if fed.data["plan_key"] != parent["plan_key"]:
                told = f"another run than the one that fed {each.name}"
                problems.append(Problem(fed.name, told, hint="bring that back"))
            visit(fed)
        found[each.name] = each

    visit(run)
    if problems:
        raise ReproductionError(f"what fed {run.name} is not as it was recorded", problems)
    return found
