"""What every command takes: `--json`, `--debug`, and help that ends with worked examples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import click

Function = Callable[..., Any]


def command(name: str, examples: str) -> Callable[[Function], click.Command]:
    """Declare a command whose help ends with examples and which knows `--json` and `--debug`.

    Args:
        name: The command's name.
        examples: Command lines, one a line, each perhaps with a `#` comment.
    """

    def declare(function: Function) -> click.Command:
        epilog = show_examples(examples)
        decorate: Callable[[Function], click.Command] = click.command(name, None, epilog=epilog)
        settled = decorate(function)
        settled.params += [
            click.Option(
                ["--json", "as_json"], is_flag=True, help="Print one JSON document and nothing else."
            ),
            click.Option(["--debug"], is_flag=True, expose_value=False, help="Show stack traces of errors."),
        ]
        return settled

    return declare


def show_examples(examples: str) -> str:
    """Worked examples as the end of a help page, line by line."""
    # \b keeps click from filling the lines into a paragraph.
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in examples.strip().splitlines())


def variant_option(function: Function) -> Function:
    """Declare `--variant`, for commands that take one of a run's submissions."""
    text = "Another of the manifest's `submissions` than the first."
    declared: Function = click.option("--variant", default="", metavar="NAME", help=text)(function)
    return declared


def blind_option(function: Function) -> Function:
    """Declare `--accept blind:CHECK`, for commands that stop at what a blind check finds."""
    text = "Let pass what this blind check stops; all, for every one."
    declared: Function = click.option("--accept", multiple=True, metavar="blind:CHECK", help=text)(function)
    return declared


def accepted_checks(given: Sequence[str]) -> tuple[str, ...]:
    """The checks of `--accept blind:CHECK`.

    Raises:
        click.UsageError: One is written otherwise.
    """
    for accept in given:
        if not accept.startswith("blind:"):
            raise click.UsageError(f"--accept {accept}: write --accept blind:CHECK")
    return tuple(accept.removeprefix("blind:") for accept in given)


def accepted_files(given: Sequence[str]) -> tuple[str, ...]:
    """The files of `--accept code:FILE.py`.

    Raises:
        click.UsageError: One is written otherwise.
    """
    for accept in given:
        if not accept.startswith("code:"):
            raise click.UsageError(f"--accept {accept}: write --accept code:FILE.py")
    return tuple(accept.removeprefix("code:") for accept in given)


def numbers(text: str | None, option: str) -> tuple[int, ...] | None:
    """The whole numbers of an option such as `--folds 0,1`; None where it was not given.

    Raises:
        click.UsageError: Something else stands there.
    """
    if text is None:
        return None
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise click.UsageError(f"{option} {text}: not numbers; write {option} 0,1") from None
