"""`kagkit recipes`: what comes with kagkit, to be copied and edited."""

from __future__ import annotations

from pathlib import Path

import click

from kagkit.cli.options import command as declare
from kagkit.cli.options import show_examples

LIST = """
kagkit recipes                       # what there is
"""
COPY = """
kagkit recipes copy forest .         # into this workspace, with its targets filled in
kagkit recipes copy cnn elsewhere    # to look at
"""


@click.group("recipes", invoke_without_command=True, epilog=show_examples(LIST + COPY.lstrip()))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document and nothing else.")
@click.option("--debug", is_flag=True, expose_value=False, help="Show stack traces of errors.")
@click.pass_context
def recipes(context: click.Context, as_json: bool) -> None:
    """List the recipes that come with kagkit; copy one and make it yours."""
    from kagkit.cli.drawing import draw_table, emit_json
    from kagkit.recipes.shelf import list_recipes

    if context.invoked_subcommand is not None:
        return
    known = list_recipes()
    if as_json:
        emit_json(known)
    else:
        draw_table(["recipe", "what it is"], [[name, sentence] for name, sentence in known.items()])


@declare("copy", COPY)
@click.argument("name", metavar="NAME")
@click.argument("folder", metavar="DIR", default=".", type=click.Path(file_okay=False, path_type=Path))
def copy(name: str, folder: Path, as_json: bool) -> None:
    """Copy a recipe into DIR, by default this folder; nothing is overwritten.

    In a workspace the constants at its top are filled in from the tables that competition.yaml names.
    """
    from kagkit.cli.drawing import emit_json
    from kagkit.recipes.scaffold import constants_here
    from kagkit.recipes.shelf import copy_recipe

    constants = constants_here(folder)
    path = copy_recipe(name, folder, constants)
    if as_json:
        emit_json({"recipe": path.name, "filled": constants is not None})
        return
    click.echo(f"{path}" + ("" if constants else ": fill in the constants at its top"))


recipes.add_command(copy)
command = recipes
