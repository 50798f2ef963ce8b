"""Leave the reason of a failure where the next reader looks, without a private path in it."""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path

from kagkit.foundation.errors import KagkitError, Problem, RunError, error_from_json, samples
from kagkit.foundation.files import read_json, told_when_unwritable, write_json
from kagkit.runs.exactness import inexact_operation

REASON = "error.json"
LOG = "log.txt"


def guard(action: Callable[[], None], root: Path, folder: Path, what: str) -> int:
    """Do something in a job; leave `error.json` in `folder` where it fails, and the traceback in the log.

    Args:
        action: What to do.
        root: The workspace.
        folder: The job's folder, with its log.
        what: How people call it: `train seed 0 fold 1`.

    Returns:
        The exit code: 0, or 1 where it failed.
    """
    (folder / REASON).unlink(missing_ok=True)
    code = 1
    try:
        action()
        code = 0
    except KagkitError as error:
        _leave(folder, _scrubbed(error, root))
    except Exception as error:
        # Whatever a user's function raises is told, with its place in the user's file.
        _leave(folder, _scrubbed(_explain(root, folder, what, error), root))
    scrub_log(folder / LOG, root)
    return code


@contextmanager
def explained(root: Path, what: str) -> Iterator[None]:
    """Turn what a user's function raises in this process into one error that names its line.

    Args:
        root: The workspace.
        what: How people call what is done.

    Raises:
        RunError: The function failed; errors of kagkit's own stay what they are.
    """
    try:
        yield
    except KagkitError:
        raise
    except Exception as error:
        told = _scrubbed(_explain(root, root, what, error), root)
        raise type(told)(told.summary, [replace(each, hint="") for each in told.problems]) from error


def reason_of(folder: Path, what: str, ending: str) -> KagkitError:
    """Why a job failed: what it left, or how it ended where it could leave nothing.

    Args:
        folder: The job's folder.
        what: How people call it.
        ending: How its process ended, in words.
    """
    try:
        return error_from_json(read_json(folder / REASON))
    except (OSError, ValueError, KeyError, TypeError):
        log = f"read {folder.parent.name}/{folder.name}/{LOG}"
        last = _last_line(folder / LOG)
        if last.startswith("{"):
            with suppress(ValueError, KeyError, TypeError):
                return error_from_json(json.loads(last))
        return RunError(f"{what} failed", [Problem(what, ending, hint=f"{log} below runs/")])


def join_failures(failed: Mapping[str, KagkitError]) -> KagkitError:
    """One error for all tasks that failed, which tells once what several of them stumbled over.

    Args:
        failed: Why each failed, by its label; at least one.

    Example:
        >>> alike = RunError("no", [Problem("fit.py line 3", "ValueError: x")])
        >>> print(join_failures({"train fold 0": alike, "train fold 1": alike}))
        2 tasks failed: train fold 0, train fold 1
          fit.py line 3 (train fold 0 and 1 more): ValueError: x
    """
    if len(failed) == 1:
        label, error = next(iter(failed.items()))
        summary = error.summary if label in error.summary else f"{label}: {error.summary}"
        return type(error)(summary, error.problems)
    alike: dict[Problem, list[tuple[str, Problem]]] = {}
    for label, error in sorted(failed.items()):
        for problem in error.problems:
            # A hint names the log, which is another one for each task.
            alike.setdefault(replace(problem, hint=""), []).append((label, problem))
    kinds = {type(error) for error in failed.values()}
    kind = kinds.pop() if len(kinds) == 1 else RunError
    return kind(
        f"{len(failed)} tasks failed: {samples(sorted(failed))}", [_first(told) for told in alike.values()]
    )


def _first(alike: list[tuple[str, Problem]]) -> Problem:
    label, problem = alike[0]
    others = f" and {len(alike) - 1} more" if len(alike) > 1 else ""
    return replace(problem, where=f"{problem.where} ({label}{others})")


def scrub_log(log: Path, root: Path) -> None:
    """Take this machine's paths out of a log, so that it can be shared; `.` is the workspace."""
    try:
        text = log.read_bytes()
    except OSError:
        return
    clean = os.fsencode(_shareable(os.fsdecode(text), root))
    if clean != text:
        # In place: the process that is ending still has the log open for its last words.
        with log.open("r+b") as stream:
            stream.write(clean)
            stream.truncate()


def _shareable(text: str, root: Path) -> str:
    home = os.path.expanduser("~")  # noqa: PTH111 (text, not a path to open)
    text = text.replace(str(root), ".")
    for folder in sorted({*sys.path, str(Path(__file__).parents[2])}, key=len, reverse=True):
        # Installed code goes by its package: where it is installed is this machine's business.
        text = text.replace(f"{folder}{os.sep}", "") if len(folder) > 1 else text
    return text.replace(home, "~") if len(home) > 1 else text


def _scrubbed(error: KagkitError, root: Path) -> KagkitError:
    """The error without this machine's paths: ours may quote a user's exception, which names files."""

    def shareable(problem: Problem) -> Problem:
        return Problem(**{name: _shareable(text, root) for name, text in asdict(problem).items()})

    return type(error)(_shareable(error.summary, root), [shareable(problem) for problem in error.problems])


def _leave(folder: Path, error: KagkitError) -> None:
    sys.stdout.flush()
    traceback.print_exc()
    sys.stderr.flush()
    try:
        write_json(folder / REASON, error.as_json())
    except (OSError, KagkitError):
        # A full disk cannot keep a file; the log's last line may still fit.
        sys.stderr.write(json.dumps(error.as_json()) + "\n")
        sys.stderr.flush()


def _explain(root: Path, folder: Path, what: str, error: Exception) -> KagkitError:
    """A user's exception as one error that names the line it came from and the log."""
    if isinstance(error, OSError):
        try:
            with told_when_unwritable(what):
                raise error
        except RunError as told:
            return told
        except OSError:
            pass
    where = what
    for frame in traceback.extract_tb(error.__traceback__):
        if frame.filename.startswith(f"{root}{os.sep}") and "site-packages" not in frame.filename:
            where = f"{Path(frame.filename).relative_to(root).as_posix()} line {frame.lineno}"
    operation = inexact_operation(error)
    if operation is not None:
        hint = "use another operation; or `determinism: seeded`, which promises no equal weights"
        problem = Problem(where, f"{operation} cannot repeat exactly on this device", hint=hint)
        return RunError(f"{what} cannot be exact", [problem])
    words = str(error).splitlines()
    found = f"{type(error).__name__}: {words[0]}" if words else type(error).__name__
    log = (folder / LOG).relative_to(root).as_posix()
    return RunError(f"{what} failed", [Problem(where, found, hint=f"read {log}")])


def _last_line(log: Path) -> str:
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return lines[-1] if lines else ""
