"""`kagkit report`: the competition in retrospect, one page."""

from __future__ import annotations

from pathlib import Path

import click

from kagkit.cli.options import command

EXAMPLES = """
kagkit report                     # report.html beside competition.yaml
kagkit report --out ended.html    # another file
kagkit report --json              # the page, and what stands on it for programs
"""


@command("report", EXAMPLES)
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE", help="Where the page goes.")
def report(out: Path | None, as_json: bool) -> None:
    """Write the competition in retrospect as one page that needs nothing else.

    Runs, scores and places over time; what each change beside its parent gained or cost, once private scores
    are known; where other finals would have ended; how the end shook the ranks; hours and GPU-hours; what was
    submitted late. Scores and places are those that `kagkit lb sync` brought home. It may be written at any
    time: what is not known yet is left out.
    """
    from kagkit.cli.compare_command import tell_progress
    from kagkit.cli.drawing import emit_json
    from kagkit.reports.retrospect import look_back
    from kagkit.reports.retrospect_page import write_retrospect
    from kagkit.workspace.layout import find_workspace

    workspace = find_workspace(Path.cwd())
    told = look_back(workspace, tell_progress)
    page = out or workspace.root / "report.html"
    write_retrospect(page, told)
    name = str(out) if out else page.name
    if as_json:
        emit_json({"path": name} | told.as_json())
        return
    late = sum(each.late for each in told.sent)
    click.echo(f"{name}: {len(told.made)} runs, {len(told.sent)} submissions, {late} of them late")
    if told.choices:
        *ways, best = told.choices
        for way in ways:
            click.echo(
                f"{way.how}: private {way.private:.5f}, {way.lost:.5f} behind the best, {best.runs[0]}"
            )


command = report
