"""`kagkit host`: be the host of a competition that the kaggle client talks to."""

from __future__ import annotations

from pathlib import Path
from secrets import randbelow
from typing import Any

import click

from kagkit.cli.options import command as declare
from kagkit.cli.options import show_examples

NEW = """
kagkit host new tumours --train train.csv --solution labelled.csv --metric auc
kagkit host new prices --train a.csv --solution b.csv --metric rmse --key lot --target price
kagkit host new own --train a.csv --solution b.csv --metric metric:score --lower-is-better
kagkit host new two --train a.csv --solution b.csv --second-stage c.csv --metric accuracy
"""
SERVE = """
kagkit host serve tumours                  # until Ctrl-C, on http://127.0.0.1:8000
kagkit host serve tumours --port 0 --json  # on a free port, told as JSON
"""
NEXT = """
kagkit host next-stage tumours
"""
CLOSE = """
kagkit host close tumours
"""


@click.group("host", epilog=show_examples((NEW + SERVE + NEXT + CLOSE).replace("\n\n", "\n")))
def host() -> None:
    """Be the host of a competition that the kaggle client talks to."""


@declare("new", NEW)
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--train", required=True, type=click.Path(path_type=Path), help="The labelled training table.")
@click.option("--solution", required=True, type=click.Path(path_type=Path), help="The labelled test table.")
@click.option("--second-stage", type=click.Path(path_type=Path), help="A labelled test table for stage 2.")
@click.option("--metric", required=True, help="A metric of kagkit's, or module:function.")
@click.option("--public-share", default=0.3, show_default=True, help="Share of test rows that are public.")
@click.option("--key", multiple=True, help="Key column; the first column by default.")
@click.option("--target", multiple=True, help="Target column; the last column by default.")
@click.option("--greater-is-better/--lower-is-better", default=None, help="The metric's direction.")
@click.option("--daily-limit", default=5, show_default=True, help="Submissions a team may make in a day.")
@click.option("--seed", type=int, help="Draws the public rows; by chance where not given.")
@click.option("--participant", multiple=True, default=("participant",), help="User name; may be repeated.")
@click.option("--title", default="", help="The name for people; the folder's by default.")
def new(folder: Path, as_json: bool, **options: Any) -> None:
    """Make a competition from labelled tables.

    Writes host.yaml, the files on offer and the hidden solution. The participants' keys are printed this
    once and kept nowhere.
    """
    from dataclasses import asdict

    from kagkit.cli.drawing import emit_json
    from kagkit.host.creation import Plan, make_competition

    if options["seed"] is None:
        options["seed"] = randbelow(2**32)
    plan = Plan(participants=options.pop("participant"), **options)
    made = make_competition(folder.absolute(), plan)
    if as_json:
        emit_json({"folder": str(folder), **asdict(made)})
        return
    how = f"stratified by {made.target[0]}" if made.stratified else "drawn"
    click.echo(f"{folder}: {made.train_rows:,} training rows; test rows {how}, seed {plan.seed}")
    for number, rows in made.test_rows.items():
        click.echo(f"  stage {number}: {rows['public']:,} public, {rows['private']:,} private")
    click.echo(f"  key {', '.join(made.key)}; target {', '.join(made.target)}")
    for user, key in made.keys.items():
        click.echo(f"participant {user}, key {key} (not shown again)")
    click.echo(f"next: kagkit host serve {folder}")


@declare("serve", SERVE)
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--port", default=8000, show_default=True, help="The port; 0 finds a free one.")
@click.option("--bind", default="127.0.0.1", show_default=True, help="The address; others need --token.")
@click.option("--token", help="A secret that requests must carry when others can reach the host.")
def serve(folder: Path, port: int, bind: str, token: str | None, as_json: bool) -> None:
    """Serve a competition until it is interrupted.

    All that happens is kept in DIR/state: a killed server goes on where it was.
    """
    import json

    from kagkit.host.server import open_socket, run_server
    from kagkit.host.terms import read_terms

    root = folder.absolute()
    terms = read_terms(root)
    listening = open_socket(bind, port, token)
    found = listening.getsockname()[1]
    shown = f"[{bind}]" if ":" in bind else bind
    facts = {"competition": terms.competition, "url": f"http://{shown}:{found}", "port": found}

    def ready() -> None:
        click.echo(json.dumps(facts) if as_json else _told(facts, token, list(terms.participants)))

    run_server(root, terms, listening, ready, token)


def _told(facts: dict[str, Any], token: str | None, users: list[str]) -> str:
    """The address, and how clients are pointed at it; both may be in one shell."""
    user = users[0] if len(users) == 1 else "..."
    proxy = facts["url"] if token is None else facts["url"].replace("http://", "http://host:TOKEN@", 1)
    lines = [
        f"{facts['competition']} on {facts['url']}",
        "  the leaderboard: open it in a browser" + ("" if token is None else ", with ?token=TOKEN"),
        f"  kaggle: export KAGGLE_API_ENVIRONMENT=LOCALHOST http_proxy={proxy}; unset no_proxy",
    ]
    if token is None:
        lines.append(f"  kagkit: export KAGKIT_KAGGLE_ENDPOINT={facts['url']}")
    lines.append(f"  {'both:' if token is None else '':<7} export KAGGLE_USERNAME={user} KAGGLE_KEY=...")
    return "\n".join([*lines, "Ctrl-C ends it; nothing is lost"])


@declare("next-stage", NEXT)
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
def next_stage(folder: Path, as_json: bool) -> None:
    """Begin stage 2: its files, the labels of stage 1, a new solution, an empty leaderboard.

    A host that is being served notices at once.
    """
    from kagkit.cli.drawing import emit_json
    from kagkit.foundation.errors import counted, samples
    from kagkit.host.shelf import offers
    from kagkit.host.staging import begin_next_stage

    root, terms, register = _open(folder)
    number = begin_next_stage(root, terms, register)
    files = list(offers(root, terms, number))
    if as_json:
        emit_json({"competition": terms.competition, "stage": number, "files": files})
    else:
        told = f"{counted(len(files), 'file')}: {samples(files)}"
        click.echo(f"{terms.competition}: stage {number} has begun; {told}")


@declare("close", CLOSE)
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
def close(folder: Path, as_json: bool) -> None:
    """End the competition: the private scores are opened, submissions from now on are late.

    A host that is being served notices at once.
    """
    from kagkit.cli.drawing import draw_table, emit_json
    from kagkit.host.board import private_board, public_board, shaken

    _, terms, register = _open(folder)
    register.close()
    stage, items, greater = register.events.stage, register.submissions, terms.metric.greater_is_better
    places = shaken(public_board(items, stage, greater=greater), private_board(items, stage, greater=greater))
    if as_json:
        board = [
            {
                "rank": place.private.rank,
                "team": place.private.team,
                "private": place.private.score,
                "public_rank": place.public_rank,
            }
            for place in places
        ]
        emit_json({"competition": terms.competition, "stage": stage, "board": board})
        return
    click.echo(f"{terms.competition} is closed")
    if places:
        rows = [[str(p.private.rank), p.private.team, p.private.score, f"{p.moved:+d}"] for p in places]
        draw_table(["#", "team", "private", "moved"], rows, right=["#", "private", "moved"])


def _open(folder: Path) -> tuple[Path, Any, Any]:
    from kagkit.host.register import Register
    from kagkit.host.terms import read_terms

    root = folder.absolute()
    terms = read_terms(root)
    return root, terms, Register(root, terms)


for subcommand in (new, serve, next_stage, close):
    host.add_command(subcommand)
command = host
