"""The command line: one file a command, each parses, calls one function and draws what it says."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path

import click

from kagkit.foundation.errors import KagkitError, did_you_mean

# Each command with its help: a page of help must not import every command.
COMMANDS = {
    "init": "Make a workspace of the host's three files.",
    "check": "Find every problem of a workspace, manifest, run or submission.",
    "new": "Make a manifest from another.",
    "run": "Do what is missing of an experiment, reuse what is done, say why.",
    "tune": "Search arguments by CV, and write the best as a manifest.",
    "predict": "Predict new rows with a finished run.",
    "status": "Say where the competition stands.",
    "compare": "Put CV beside the leaderboard.",
    "finals": "Propose the two final submissions, and say why.",
    "report": "Write the competition in retrospect, one page.",
    "reproduce": "Make a run again and hold it against its record.",
    "package": "Make the deliverable of a run, proved and checked.",
    "submit": "Submit a run or a file to the host, exactly once.",
    "freeze": "Lock the end of stage 1, and rehearse it.",
    "stage2": "Take the second stage from audit to final.",
    "export": "Pack a run for a team-mate, in one file.",
    "import": "Take in a team-mate's run, or their predictions.",
    "data": "Fetch data, pin its version, prove it, say what changed.",
    "lb": "Bring the host's scores home.",
    "recipes": "List the recipes that come with kagkit, and copy them.",
    "demo": "Play a whole competition of two stages on this machine.",
    "ui": "Show MLflow's pages, CV beside the leaderboard first.",
    "track": "Show runs in MLflow, a view that can be made again.",
    "doctor": "Look at the machine, the packages and the disk.",
    "clean": "Remove what nothing needs any more.",
    "host": "Be the host of a competition that the kaggle client talks to.",
}
INTERRUPTED = 130


class Commands(click.Group):
    """The commands, imported only when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every command, in the order of work."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"kagkit.cli.{cmd_name}_command").command
        return command

    def invoke(self, ctx: click.Context) -> object:
        """Run the command; a reader who left is no error, though click would end with 1."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            return _fall_silent()

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or name the nearest one."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            raise click.UsageError(
                f"{args[0]}: no such command; {did_you_mean(args[0], list(COMMANDS))}", ctx
            )
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The table of commands."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="kagkit COMMAND --help ends with worked examples.",
)
@click.version_option(None, "--version", package_name="kagkit", message="kagkit %(version)s")
@click.option("-C", "folder", metavar="DIR", help="Work in DIR instead of the current folder.")
def kagkit(folder: str | None) -> None:
    """Kaggle competitions that can be done again: a manifest records data, seeds and weights."""
    if folder is not None:
        if not Path(folder).is_dir():
            raise click.UsageError(f"-C {folder}: no such folder")
        os.chdir(folder)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; the exit codes are those of the contract.

    Args:
        arguments: The words after `kagkit`; those of the process by default.
    """
    words = sys.argv[1:] if arguments is None else arguments
    try:
        code = _run(words)
    except BrokenPipeError:
        code = _fall_silent()
    sys.exit(code)


def _fall_silent() -> int:
    """The reader went away (`kagkit compare | head`): nothing is left to say, not even at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _run(words: list[str]) -> int:
    """Run a command and tell what went wrong; the exit code."""
    try:
        code = kagkit.main(words, prog_name="kagkit", standalone_mode=False)
    except KagkitError as error:
        return _tell(error, words)
    except click.UsageError as error:
        return _tell_usage(error, words)
    except (KeyboardInterrupt, click.exceptions.Abort):
        click.echo("\ninterrupted: what was finished is kept; run the same command to go on", err=True)
        return INTERRUPTED
    except BrokenPipeError:
        raise
    except Exception as error:
        return _tell_unexpected(error, words)
    return code if isinstance(code, int) else 0


def _tell(error: KagkitError, words: list[str]) -> int:
    from kagkit.cli.drawing import draw_error, emit_json

    if "--debug" in words:
        _draw_trace(error)
    if "--json" in words:
        emit_json(error.as_json())
    else:
        draw_error(error)
    return error.exit_code


def _draw_trace(error: Exception) -> None:
    """The stack trace, whose errors of the network name signed addresses, without a secret."""
    import traceback

    from kagkit.host.credentials import find_credentials
    from kagkit.host.refusals import scrub

    click.echo(scrub("".join(traceback.format_exception(error)), find_credentials().secrets), err=True)


def _tell_usage(error: click.UsageError, words: list[str]) -> int:
    from kagkit.cli.drawing import emit_json

    if "--json" in words:
        emit_json({"error": "UsageError", "exit_code": 2, "summary": error.format_message(), "problems": []})
    else:
        error.show()
    return 2


def _tell_unexpected(error: Exception, words: list[str]) -> int:
    import traceback

    from kagkit.cli.drawing import emit_json

    if "--debug" in words:
        _draw_trace(error)
    frame = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{Path(frame.filename).name} line {frame.lineno}"
    found = f"{type(error).__name__}: {error}".replace(str(Path.cwd()), ".")
    summary = f"unexpected: {found} ({where})"
    if "--json" in words:
        emit_json({"error": type(error).__name__, "exit_code": 1, "summary": summary, "problems": []})
    else:
        click.echo(f"{summary}\n  hint: this is a fault of kagkit; --debug shows the stack trace", err=True)
    return 1
