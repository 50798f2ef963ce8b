"""Say which run feeds which, from the first to the one that is asked for, and which of them are there."""

from __future__ import annotations

from dataclasses import dataclass

from kagkit.runs.record import latest_run
from kagkit.workspace.layout import Workspace
from kagkit.workspace.lineage import order_upstream, read_inputs


@dataclass(frozen=True)
class Node:
    """An experiment, and what feeds it.

    Attributes:
        experiment: Its name.
        run: Its latest complete run; None where it has none. What of it is stale is for its plan to say.
        inputs: By name, what its manifest says: `exp003`, or `exp003/2`.
    """

    experiment: str
    run: str | None
    inputs: dict[str, str]


def trace_graph(workspace: Workspace, experiment: str) -> tuple[Node, ...]:
    """An experiment with all that feed it, each after those that feed it.

    Raises:
        ManifestError: Experiments feed each other in a circle.
        ReproductionError: A record is damaged.
    """
    nodes = []
    for name in (*order_upstream(workspace.root, experiment), experiment):
        latest = latest_run(workspace, name, complete=True)
        nodes.append(Node(name, latest.name if latest else None, read_inputs(workspace.root, name)))
    return tuple(nodes)
