"""`kagkit stage2`: the second stage, from the audit to the final submission."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kagkit.cli.options import accepted_checks, blind_option, command

if TYPE_CHECKING:
    from kagkit.stages.budget import Planned
    from kagkit.stages.second import SecondStage

EXAMPLES = """
kagkit stage2                            # ingest, audit, and a safe file by frozen weights
kagkit stage2 --plan --budget 60h        # what retraining would cost, and what fits
kagkit stage2 --retrain                  # retrain as each manifest's stage2 says, decide, final
kagkit stage2 --retrain=exp001,exp003    # these two and no others
kagkit stage2 --retrain=all --until 2019-09-02T18:00Z   # what fits until then
kagkit stage2 --step final               # again, after stage2.decisions.yaml was edited
"""
STEPS = ["ingest", "audit", "safe", "retrain", "decide", "final"]


@command("stage2", EXAMPLES)
@click.argument("final", required=False, metavar="[FINAL.yaml]")
@click.option(
    "--retrain",
    is_flag=False,
    flag_value="auto",
    metavar="[auto|all|none|NAMES]",
    help="Retrain, decide and make the final; auto, as each manifest says, where nothing follows.",
)
@click.option("--plan", "plan_only", is_flag=True, help="Show what retraining costs, and stop.")
@click.option("--budget", metavar="60h", help="How long may be trained: 60h, 90m.")
@click.option("--until", metavar="TIME", help="When training must be over: 18:00, or ISO 8601.")
@click.option("--step", type=click.Choice(STEPS), help="This step alone.")
@blind_option
def stage2(final: str | None, plan_only: bool, as_json: bool, **given: Any) -> None:
    """Take a frozen final through the second stage: a safe file first, then what the evidence allows.

    The steps are ingest, audit, safe, retrain, decide and final; the last three only with --retrain. All that
    is made are ordinary manifests and runs: EXP-s1.yaml predicts by the frozen weights, EXP-s2.yaml trains on
    both stages' rows, EXP-mix.yaml averages the two. An edited one is never written again. A command that was
    killed goes on when it is typed again.
    """
    from kagkit.cli.drawing import emit_json
    from kagkit.cli.run_drawing import RunDrawing
    from kagkit.stages.second import STEPS, UNASKED
    from kagkit.tracking.background import start_mirror

    second = _begin(final, given)
    told: dict[str, Any] = {"step": "plan"}
    if plan_only:
        planned = second.plan()
        if not as_json:
            _draw_plan(planned)
    else:
        with RunDrawing(silent=as_json, explain=False) as drawing:
            for step in _steps(given, STEPS, UNASKED):
                for event in second.take(step):
                    drawing.draw(event)
                told["step"] = step
        start_mirror(second.workspace)
    if as_json:
        emit_json({"stage": 2, "of": second.final} | told | second.facts)
    elif not plan_only:
        _draw(second)


def _steps(given: dict[str, Any], every: tuple[str, ...], unasked: tuple[str, ...]) -> tuple[str, ...]:
    if given["step"]:
        return (given["step"],)
    return unasked if given["retrain"] is None else every


def _begin(final: str | None, given: dict[str, Any]) -> SecondStage:
    from kagkit.stages.budget import read_limits
    from kagkit.stages.second import SecondStage, Wish
    from kagkit.workspace.layout import find_workspace

    retrain = given["retrain"]
    if retrain is not None and retrain.endswith(".yaml"):
        raise click.UsageError(
            f"--retrain {retrain}: a misplaced file; write it first: kagkit stage2 {retrain} --retrain"
        )
    workspace = find_workspace(Path(final) if final and Path(final).is_file() else Path.cwd())
    budget, until = read_limits(given["budget"], given["until"], datetime.now().astimezone())
    return SecondStage(workspace, final, Wish(retrain, budget, until, accepted_checks(given["accept"])))


def _draw_plan(planned: list[Planned]) -> None:
    from kagkit.cli.drawing import draw_table, duration

    rows = [[each.experiment, each.policy, duration(each.seconds), each.state, each.why] for each in planned]
    draw_table(["model", "policy", "takes", "state", "why"], rows, right=["takes"])


def _draw(second: SecondStage) -> None:
    from kagkit.cli.drawing import draw_table, number

    facts = second.facts
    for each in facts["blind"]:
        if each["level"] == "warn":
            click.echo(f"  warn {each['check']}: {each['text']}", err=True)
    if facts["models"]:
        rows = [[each[key] for key in ("experiment", "policy", "decision")] for each in facts["models"]]
        draw_table(["model", "policy", "decision"], rows)
    final, safe = facts["final"], facts["safe"]
    if safe and safe["submission"]:
        click.echo(f"safe file: {safe['submission']}, CV {number(safe['cv'])}")
    if final:
        click.secho(f"final: {final['submission']}, CV {number(final['cv'])}", bold=True)
        stages = [each["stage"] for each in final["members"]]
        click.echo(f"  {len(stages)} fits: {stages.count(1)} of stage 1, {stages.count(2)} of stage 2")
        click.echo(f"  kagkit submit {final['run']}")
    elif safe and safe["submission"]:
        click.echo("kagkit stage2 --plan tells what retraining costs; kagkit stage2 --retrain does it")


command = stage2
