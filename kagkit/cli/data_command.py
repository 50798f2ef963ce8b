"""`kagkit data`: fetch the data, pin their version, prove it, say what changed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from kagkit.cli.options import command as declare
from kagkit.cli.options import show_examples

PIN = """
kagkit data pin               # every declared source
kagkit data pin chexpert      # one of them
kagkit data pin --deep        # read every byte again
"""
VERIFY = """
kagkit data verify            # by size and time where nothing changed
kagkit data verify --deep     # every byte
"""
DIFF = """
kagkit data diff stage1                      # what is on the disk against what is pinned
kagkit data diff 9f2c41ab 51ab7d00           # two pinned versions
"""
COMPARE = """
kagkit data compare stage1                   # its train against its test rows
kagkit data compare stage1/train stage2/test
kagkit data compare stage1/train chexpert/train --no-images
"""
DOWNLOAD = """
kagkit data download                         # the competition's data, to where competition.yaml has them
kagkit data download data --competition titanic
kagkit data download board --leaderboard     # the whole public leaderboard
"""
_EXAMPLES = show_examples("\n" + "".join(each.lstrip() for each in (DOWNLOAD, PIN, VERIFY, DIFF, COMPARE)))


@click.group("data", epilog=_EXAMPLES)
def data() -> None:
    """Fetch data, pin their version, prove it, say what changed."""


@declare("download", DOWNLOAD)
@click.argument("folder", required=False, type=click.Path(path_type=Path), metavar="[DIR]")
@click.option("--competition", metavar="SLUG", help="Another competition than the workspace's.")
@click.option("--leaderboard", is_flag=True, help="The whole public leaderboard in place of the data.")
def download(folder: Path | None, competition: str | None, leaderboard: bool, as_json: bool) -> None:
    """Fetch the competition's data, unpack them and pin them.

    By default they go to the folder that competition.yaml has stage 1's files in. A download that was
    killed goes on where it was; nothing is in place until everything is here and whole.
    """
    from dataclasses import asdict, replace

    from kagkit.cli.drawing import emit_json
    from kagkit.foundation.errors import ManifestError, counted
    from kagkit.host import downloading
    from kagkit.host.asking import Host
    from kagkit.host.door import Door
    from kagkit.workspace.competition import read_competition
    from kagkit.workspace.layout import find_workspace

    try:
        workspace = None if competition is not None else find_workspace(Path.cwd())
    except ManifestError as error:
        hint = "cd into a workspace, or: kagkit data download DIR --competition NAME"
        problems = [replace(problem, hint=hint) for problem in error.problems]
        raise ManifestError(error.summary, problems) from error
    stated = read_competition(workspace.root, data_there=False) if workspace is not None else None
    slug, address = (stated.competition, stated.host) if stated is not None else (str(competition), "kaggle")
    host = Host(Door(slug, address, tell=lambda line: click.echo(line, err=True)))
    if leaderboard and folder is None:
        raise click.UsageError("--leaderboard needs DIR, a folder of its own")
    usual = (
        workspace.root / stated.folder if workspace is not None and stated is not None else Path.cwd() / slug
    )
    target = folder.resolve() if folder is not None else usual
    cache = workspace.cache if workspace is not None else target.parent / ".kagkit"
    with _bytes_come() as progress:
        fetch = downloading.download_board if leaderboard else downloading.download
        fetched = fetch(host, cache, target, progress)
    pinned = {}
    if workspace is not None and stated is not None and not leaderboard:
        pinned = downloading.pin_what_is_there(workspace.root, stated)
    if as_json:
        emit_json(asdict(fetched) | {"pinned": {name: value.version for name, value in pinned.items()}})
        return
    same = f", {fetched.unchanged:,} of them there before" if fetched.unchanged else ""
    resumed = f", {fetched.resumed:,} of them from an earlier try" if fetched.resumed else ""
    files = counted(fetched.files, "file")
    click.echo(f"{fetched.folder}: {files}{same}, out of {fetched.bytes:,} bytes{resumed}")
    for name, value in pinned.items():
        click.echo(f"pinned {name}: {counted(value.files, 'file')}, version {value.version[:12]}")


@declare("pin", PIN)
@click.argument("sources", nargs=-1, metavar="[SOURCE...]")
@click.option("--deep", is_flag=True, help="Read every file, whatever its size and time say.")
def pin(sources: tuple[str, ...], deep: bool, as_json: bool) -> None:
    """Make what is on the disk the version this workspace works with.

    Writes data.lock.yaml, to be committed, and a listing that `sha256sum -c` reads. Unchanged files are not
    read again.
    """
    from dataclasses import asdict

    from kagkit.cli.drawing import duration, emit_json
    from kagkit.data import versions
    from kagkit.foundation.errors import counted

    root, declared = _sources(sources)
    pinned = {}
    for name, parts in declared.items():
        with _progress() as progress:
            pinned[name] = versions.pin(root, name, parts, deep=deep, progress=progress)
    if as_json:
        emit_json(_one_or_all({name: asdict(value) for name, value in pinned.items()}))
        return
    for name, value in pinned.items():
        click.echo(
            f"{name}: {counted(value.files, 'file')}, {value.bytes:,} bytes, version {value.version[:12]} "
            f"({value.hashed:,} read, {value.unchanged:,} unchanged, {duration(value.seconds)})"
        )


@declare("verify", VERIFY)
@click.argument("sources", nargs=-1, metavar="[SOURCE...]")
@click.option("--deep", is_flag=True, help="Read every file, whatever its size and time say.")
def verify(sources: tuple[str, ...], deep: bool, as_json: bool) -> None:
    """Prove that the data are the pinned ones; exit code 3 where they are not."""
    from dataclasses import asdict

    from kagkit.cli.drawing import duration, emit_json
    from kagkit.data import versions
    from kagkit.foundation.errors import counted

    root, declared = _sources(sources)
    found = {}
    for name, parts in declared.items():
        with _progress() as progress:
            found[name] = versions.verify(root, name, parts, deep=deep, progress=progress)
    changed = any(value.changes for value in found.values())
    if as_json:
        emit_json(_one_or_all({name: asdict(value) for name, value in found.items()}))
    else:
        for name, value in found.items():
            state = counted(len(value.changes), "change") if value.changes else "unchanged"
            files = f"{counted(value.files, 'file')}, {value.hashed:,} read"
            click.echo(f"{name}: {state}, {files}, {duration(value.seconds)}")
            _draw_changes(value.changes)
    raise click.exceptions.Exit(3 if changed else 0)


@declare("diff", DIFF)
@click.argument("first", metavar="A")
@click.argument("second", required=False, metavar="[B]")
def diff(first: str, second: str | None, as_json: bool) -> None:
    """Say what changed between two versions, or between a pinned source and the disk.

    A and B are versions, or their first digits; one source's name compares its pin with the disk.
    """
    from dataclasses import asdict

    from kagkit.cli.drawing import emit_json
    from kagkit.data import versions
    from kagkit.foundation.errors import counted

    root, declared = _sources((first,) if second is None else ())
    if second is None:
        old = _listing(
            root, versions.read_lock(root)[first].version if first in versions.read_lock(root) else first
        )
        new = versions.survey(root, first, declared[first]).listing
    else:
        old, new = _listing(root, first), _listing(root, second)
    changes = versions.compare(old, new)
    if as_json:
        emit_json({"old": old.version, "new": new.version, "changes": [asdict(change) for change in changes]})
        return
    click.echo(f"{old.version[:12]} -> {new.version[:12]}: {counted(len(changes), 'change')}")
    _draw_changes(changes)


@declare("compare", COMPARE)
@click.argument("first", metavar="A")
@click.argument("second", required=False, metavar="[B]")
@click.option("--images/--no-images", default=True, help="Whether to look for images that look alike.")
def compare(first: str, second: str | None, images: bool, as_json: bool) -> None:
    """Compare two parts: what tells them apart, and what stands twice.

    A and B are parts: stage1/train, stage1/test, chexpert/train. A stage alone is its train against its
    test rows.
    """
    from kagkit.cli.drawing import emit_json
    from kagkit.cli.parts_drawing import draw_comparison
    from kagkit.data.comparing import compare_parts
    from kagkit.workspace.layout import find_workspace

    found = compare_parts(find_workspace(Path.cwd()), first, second, images=images)
    if as_json:
        emit_json(found.as_json())
        return
    draw_comparison(found)


def _sources(names: tuple[str, ...]) -> tuple[Path, dict[str, Any]]:
    """The chosen sources; by default every one whose files are there (stage 2 may not be yet)."""
    from kagkit.foundation.errors import did_you_mean
    from kagkit.workspace.layout import find_workspace

    workspace = find_workspace(Path.cwd())
    declared = workspace.competition.sources
    for name in names:
        if name not in declared:
            raise click.UsageError(f"{name}: no such source; {did_you_mean(name, list(declared))}")
    if names:
        return workspace.root, {name: declared[name] for name in names}
    there = {
        name: parts
        for name, parts in declared.items()
        if name != "stage2"
        or all((workspace.root / path).exists() for paths in parts.values() for path in paths)
    }
    return workspace.root, there


def _listing(root: Path, version: str) -> Any:
    from kagkit.data import versions

    names = [
        path.name.removesuffix(".sha256") for path in (root / "runs" / ".data").glob(f"{version}*.sha256")
    ]
    listing = versions.read_listing(root, names[0]) if len(names) == 1 else None
    if listing is None:
        found = "no such version" if not names else f"{len(names)} versions begin so"
        raise click.UsageError(f"{version}: {found}; runs/.data holds the listings")
    return listing


def _draw_changes(changes: Any) -> None:
    from kagkit.cli.drawing import draw_table

    if changes:
        rows = [[change.kind, change.path, change.detail] for change in changes]
        draw_table(["change", "file", "detail"], rows)


def _one_or_all(facts: dict[str, Any]) -> Any:
    return next(iter(facts.values())) if len(facts) == 1 else facts


@contextmanager
def _bytes_come() -> Iterator[Any]:
    """A counter of bytes on a terminal, whose line is ended with the work; nothing elsewhere."""
    from kagkit.cli.drawing import on_terminal

    shown = False

    def show(done: int, total: int) -> None:
        nonlocal shown
        if on_terminal():
            shown = True
            share = f" of {total / 1e6:,.0f}" if total else ""
            click.echo(f"\r{done / 1e6:,.0f}{share} MB", nl=False, err=True)

    try:
        yield show
    finally:
        if shown:
            click.echo(err=True)


@contextmanager
def _progress() -> Iterator[Any]:
    """A counter on a terminal, whose line is ended with the work; nothing elsewhere."""
    from kagkit.cli.drawing import on_terminal

    shown = False

    def show(files: int, size: int) -> None:
        nonlocal shown
        shown = True
        click.echo(f"\r{files:,} files, {size / 1e6:,.0f} MB", nl=False, err=True)

    try:
        yield show if on_terminal() else None
    finally:
        if shown:
            click.echo(err=True)


for subcommand in (download, pin, verify, diff, compare):
    data.add_command(subcommand)
command = data
