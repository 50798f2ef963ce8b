"""`kagkit track`: show runs in MLflow."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from kagkit.cli.options import command as declare
from kagkit.cli.options import show_examples

if TYPE_CHECKING:
    from kagkit.tracking.mirror import Synced

EXAMPLES = """
kagkit track sync                                # what MLflow does not show yet
kagkit track sync --rebuild                      # all anew, from runs/ alone
kagkit track sync --to http://tracking.local:5000    # on a team's server
"""


@click.group("track", epilog=show_examples(EXAMPLES))
def track() -> None:
    """Show runs in MLflow, a view that can be deleted and made again."""


@declare("sync", EXAMPLES)
@click.option("--rebuild", is_flag=True, help="Show all runs anew, from their directories alone.")
@click.option("--to", "uri", metavar="URI", help="A server, http://HOST:PORT, or sqlite:///FILE.")
def sync(rebuild: bool, uri: str | None, as_json: bool) -> None:
    """Replay run directories into MLflow.

    Every run and every score is shown once, however often this is done. Where --to is not given it is
    MLFLOW_TRACKING_URI that says where, or else the workspace's own store in .kagkit/mlflow. A rebuild
    leaves a copy of that store beside it, with the notes that people wrote there; pages that are open show
    the old one until `kagkit ui` is started again.
    """
    from contextlib import nullcontext

    from kagkit.cli.drawing import emit_json
    from kagkit.foundation.errors import ReproductionError
    from kagkit.tracking.background import taking_over
    from kagkit.tracking.mirror import sync_runs
    from kagkit.tracking.store import choose_store
    from kagkit.workspace.layout import find_workspace

    workspace = find_workspace(Path.cwd())
    store = choose_store(workspace, uri)

    def tell(name: str) -> None:
        if not as_json:
            click.echo(f"{name} shown", err=True)

    with nullcontext() if uri else taking_over(workspace):
        synced = sync_runs(workspace, store, rebuild=rebuild, tell=tell)
    if synced.problems:
        raise ReproductionError(f"{_told(synced)}; the others cannot be read", synced.problems)
    if as_json:
        emit_json(synced.as_json())
    else:
        click.echo(_told(synced))


def _told(synced: Synced) -> str:
    runs = f"{synced.runs} run{'s' if synced.runs != 1 else ''} in {synced.store}"
    gone = f"; {synced.gone} more have no directory here (--rebuild leaves them out)" if synced.gone else ""
    return f"{runs}, {len(synced.shown)} of them new or with new scores{gone}"


track.add_command(sync)
command = track
