"""`kagkit new`: a manifest from another."""

from __future__ import annotations

from pathlib import Path

import click

from kagkit.cli.options import command

EXAMPLES = """
kagkit new exp002 --from exp001                                # a copy, its parent noted
kagkit new exp002 --from exp001 --set args.lr=0.03             # and a value changed or added
kagkit new exp003 --from exp002 --set seeds=[0,1,2] --set 'note=three seeds'
kagkit new exp004 --from exp001 --set 'folds={set: main, only: [0]}'
"""


@command("new", EXAMPLES)
@click.argument("name", metavar="EXP")
@click.option("--from", "parent", required=True, metavar="EXP", help="The experiment to start from.")
@click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change or add a value, as in YAML."
)
def new(name: str, parent: str, settings: tuple[str, ...], as_json: bool) -> None:
    """Make the manifest EXP.yaml from another one: its comments stay, its parent is noted.

    It is read and checked before it is written, and no file is ever overwritten.
    """
    from kagkit.cli.drawing import emit_json
    from kagkit.workspace.layout import find_workspace
    from kagkit.workspace.parentage import derive, differences

    workspace = find_workspace(Path.cwd())
    made = derive(workspace, name, parent, settings)
    origin = workspace.experiment(parent)
    changed = differences(made.manifest, origin.manifest)
    if as_json:
        told = {key: {"parent": old, "now": now} for key, (old, now) in changed.items()}
        emit_json({"manifest": made.path.name, "parent": origin.name, "differences": told})
        return
    click.echo(f"{made.path.name}, from {origin.name}{'' if changed else ', the same but for its name'}")
    for key, (old, now) in changed.items():
        click.echo(f"  {key}: {_word(old)} -> {_word(now)}")
    if made.manifest.note and made.manifest.note == origin.manifest.note:
        click.echo(f"  note: still {origin.name}'s, {made.manifest.note!r}")
    click.echo(f"next:\n  kagkit run {made.name}")


def _word(value: object) -> str:
    return "by default" if value is None else str(list(value) if isinstance(value, tuple) else value)


command = new
