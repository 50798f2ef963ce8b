"""`kagkit ui`: MLflow, opened on CV beside the leaderboard."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from kagkit.cli.options import command

if TYPE_CHECKING:
    from kagkit.tracking.store import Store
    from kagkit.workspace.layout import Workspace

EXAMPLES = """
kagkit ui                # any free port
kagkit ui --port 5000    # this one
"""


@command("ui", EXAMPLES)
@click.option("--port", type=click.IntRange(1, 65535), help="The port; any free one by default.")
def ui(port: int | None, as_json: bool) -> None:
    """Show MLflow's pages of this workspace, CV beside the leaderboard first.

    What is not shown yet is shown first. The pages are served to this machine alone until Ctrl-C. Where
    MLFLOW_TRACKING_URI names a team's server, its address is printed and nothing is served.
    """
    from kagkit.tracking.server import serving
    from kagkit.tracking.store import choose_store, prepare_store
    from kagkit.workspace.layout import find_workspace

    workspace = find_workspace(Path.cwd())
    store = choose_store(workspace)
    if store.file is None:
        _tell(store.told, _sync(workspace, store), as_json)
        return
    if not as_json:
        click.echo("starting MLflow …", err=True)
    prepare_store(store)
    try:
        with serving(workspace, store, port) as server:
            experiment = _sync(workspace, store)
            server.wait_until_ready()
            _tell(server.url, experiment, as_json)
            click.echo("Ctrl-C ends it", err=True)
            server.wait_until_ended()
    except KeyboardInterrupt:
        click.echo(err=True)


def _sync(workspace: Workspace, store: Store) -> str:
    """Show what is not shown yet; the experiment's id."""
    from kagkit.cli.drawing import draw_problems
    from kagkit.tracking.mirror import sync_runs

    synced = sync_runs(workspace, store)
    draw_problems(synced.problems)
    return synced.experiment


def _tell(base: str, experiment: str, as_json: bool) -> None:
    from kagkit.cli.drawing import emit_json
    from kagkit.tracking.views import view_url

    url = view_url(base, experiment)
    if as_json:
        emit_json({"url": url})
    else:
        click.echo(url)


command = ui
