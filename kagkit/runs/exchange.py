"""Pack a run for a team-mate, the same bytes each time; take one in, proved by digest and never executed."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kagkit.foundation.errors import (
    DataError,
    ManifestError,
    Problem,
    ReproductionError,
)
from kagkit.foundation.files import (
    CHUNK,
    canonical_json,
    file_sha256,
    json_text,
    read_json,
    told_when_unwritable,
)
from kagkit.foundation.unpacking import unpack
from kagkit.runs.arrivals import (
    Arrival,
    Ground,
    fold_notes,
    keep_folds,
    plain,
    refuse_other_keys,
    settle_ground,
    take_in,
    unknown_folds,
)
from kagkit.runs.inputs import FOLDS
from kagkit.runs.origins import metric_facts
from kagkit.runs.pinning import fold_table_then
from kagkit.runs.record import RECORD, Run, read_run, verify_run
from kagkit.runs.store import list_kept, verify_files
from kagkit.workspace.layout import Workspace

INDEX, FORMAT, WEIGHTS = "export.json", 1, "weights/"
THEIRS = "record.theirs.json"
LONG_AGO = (1980, 1, 1, 0, 0, 0)  # the earliest time a zip can tell
SUBMISSION = re.compile(r"submission(-[A-Za-z0-9_]{1,32})?\.csv")
ASK = "ask for the file again; its sha256 was printed when it was made"


@dataclass(frozen=True)
class Exported:
    """A run, packed.

    Attributes:
        run: The run.
        files: How many files are in it.
        bytes: Its size.
        sha256: Its digest: say it to whoever gets the file.
        left_out: Files of the run that are not in it.
    """

    run: str
    files: int
    bytes: int
    sha256: str
    left_out: tuple[str, ...]


def export_run(workspace: Workspace, run: Run, path: Path, *, weights: bool = False) -> Exported:
    """Pack a run into one zip: its record, predictions, submissions, code and folds.

    The same run gives the same bytes. Neither times nor anything of this machine is in it.

    Args:
        workspace: The workspace.
        run: The run.
        path: The zip to write; one that is there is not overwritten.
        weights: Whether its weights go along.

    Raises:
        ManifestError: The run is partial or was imported, or the file is there.
        ReproductionError: The run is damaged.
        RunError: The file cannot be written.
    """
    if not run.complete or run.imported:
        found = "imported: pass on the file it came in" if run.imported else "a partial run"
        raise ManifestError(f"{run.name} is not exported", [Problem(run.name, found)])
    if path.exists():
        raise ManifestError("not overwritten", [Problem(path.name, "there already", hint="another name")])
    damage = verify_run(run)
    if damage:
        raise ReproductionError(f"{run.name} is damaged", damage)
    left_out = [kept.name for kept in run.files if kept.name.startswith(WEIGHTS) and not weights]
    kept = {each.name: each for each in run.files if each.name not in left_out}
    sources: dict[str, Path | bytes] = {name: run.folder / name for name in kept}
    sources[RECORD] = run.folder / RECORD
    table = fold_table_then(workspace, run)
    if table is not None:
        sources[FOLDS] = table
    index = {"kagkit": FORMAT, "run": run.name, "seal": run.data["seal"], "left_out": left_out}
    pack_files(path, sources | {INDEX: json_text(index).encode()})
    return Exported(run.name, len(sources) + 1, path.stat().st_size, file_sha256(path), tuple(left_out))


def import_run(workspace: Workspace, archive: Path, name: str = "", author: str = "") -> Arrival:
    """Take in a run that `export_run` packed; no line of its code is executed.

    Args:
        workspace: The workspace; it must be of the same competition and metric.
        archive: The zip.
        name: What the run is called here; by default as its experiment.
        author: Who made it.

    Raises:
        ManifestError: The name is taken, or the run is of another competition or metric.
        DataError: It is no zip of a run, or its predictions are not of this workspace's rows.
        ReproductionError: A byte of it is not what its record says.
    """
    theirs = _told_name(archive)
    stem = name or theirs

    def make(aside: Path) -> tuple[dict[str, Any], list[str]]:
        record, notes = _take(workspace, aside, archive, stem)
        record["imported"]["author"] = plain(author)
        return record, notes

    return take_in(workspace, stem, make)


def pack_files(path: Path, sources: Mapping[str, Path | bytes]) -> None:
    """Write a zip of files, or of their bytes, by name: the same ones give the same zip.

    Raises:
        RunError: It cannot be written.
    """
    aside = path.with_name(f".{path.name}.tmp")
    with told_when_unwritable(path.name):
        try:
            with zipfile.ZipFile(aside, "w", zipfile.ZIP_DEFLATED) as packed:
                for name in sorted(sources):
                    member = zipfile.ZipInfo(name, LONG_AGO)
                    member.compress_type, member.create_system = zipfile.ZIP_DEFLATED, 3
                    member.external_attr = 0o100644 << 16
                    with packed.open(member, "w", force_zip64=True) as target:
                        for piece in _pieces(sources[name]):
                            target.write(piece)
            aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)


def _pieces(source: Path | bytes) -> Iterator[bytes]:
    if isinstance(source, bytes):
        yield source
        return
    with source.open("rb") as stream:
        while piece := stream.read(CHUNK):
            yield piece


def _told_name(archive: Path) -> str:
    """The experiment that a zip tells of, before anything of it is unpacked."""
    try:
        with zipfile.ZipFile(archive) as packed, packed.open(INDEX) as stream:
            return str(json.loads(stream.read(CHUNK))["run"]).partition("/")[0]
    except (OSError, zipfile.BadZipFile, KeyError, ValueError, TypeError, NotImplementedError) as error:
        hint = "it is made by: kagkit export RUN -o FILE"
        problem = Problem(archive.name, f"no {INDEX} in it: {type(error).__name__}", "an exported run", hint)
        raise DataError(f"{archive.name} is not imported", [problem]) from error


def _take(workspace: Workspace, aside: Path, archive: Path, name: str) -> tuple[dict[str, Any], list[str]]:
    """Unpack, prove and judge; the record as it is here, and what to know of it."""
    folder = aside.with_name("unpacked")
    unpack(archive, folder, ASK)
    try:
        theirs, index = _proved(folder, archive.name)
        _refuse_other_competition(workspace, theirs)
        ground = settle_ground(workspace, int(theirs.data["stage"]))
        record = _record(theirs)
        notes = _hold(ground, folder, theirs)
        (folder / INDEX).unlink()
        (folder / RECORD).rename(folder / THEIRS)
        aside.rmdir()
        folder.rename(aside)
        record["fold_set"] = _folds(ground, aside, name)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        problem = Problem(archive.name, f"a record of another shape: {type(error).__name__}", hint=ASK)
        raise ReproductionError("no record of a run", [problem]) from error
    notes += fold_notes(record["fold_set"])
    file = {"name": archive.name, "sha256": file_sha256(archive)}
    facts = {key: theirs.data[key] for key in ("run", "seal", "parents")}
    facts |= {"files": {"archive": file}, "left_out": index["left_out"]}
    return record | {"imported": facts}, notes


def _proved(folder: Path, name: str) -> tuple[Run, dict[str, Any]]:
    """The run in a folder, every byte as its record says; what was left out may be missing."""
    index = read_json(folder / INDEX)
    if not isinstance(index, dict) or index.get("kagkit") != FORMAT:
        problem = Problem(INDEX, "another format", str(FORMAT), "read it with a newer kagkit")
        raise DataError(f"{name} is not imported", [problem])
    run = read_run(folder)
    left_out = [file for file in index["left_out"] if file.startswith(WEIGHTS)]
    kept = [each for each in run.files if each.name not in left_out]
    beside = {INDEX, RECORD, FOLDS}
    kept += [each for each in list_kept(folder) if each.name in beside]
    problems = verify_files(folder, name, kept)
    if index["seal"] != run.data["seal"]:
        problems.append(Problem(f"{name}/{INDEX}", "of another record", check="integrity"))
    table = folder / FOLDS
    if table.is_file() and file_sha256(table) != run.data["fold_set"]["sha256"]:
        problems.append(Problem(f"{name}/{FOLDS}", "not the folds of the record", check="integrity"))
    if problems:
        raise ReproductionError(f"{name} is damaged", [*problems, Problem(name, "not imported", hint=ASK)])
    return run, index


def _refuse_other_competition(workspace: Workspace, run: Run) -> None:
    """CV means the same by the same metric alone."""
    own = {"competition": workspace.competition.competition, "metric": metric_facts(workspace)}
    problems = []
    for what, ours in own.items():
        theirs = run.data[what]
        if canonical_json(theirs) != canonical_json(ours):
            if isinstance(theirs, dict) and isinstance(ours, dict):
                differ = sorted(key for key in theirs | ours if theirs.get(key) != ours.get(key))
                problems += [
                    Problem(f"metric.{key}", f"{theirs.get(key)}", f"{ours.get(key)}") for key in differ
                ]
            else:
                problems.append(Problem(what, f"{theirs}", f"{ours}"))
    if not run.complete:
        problems.append(Problem(run.name, "a partial run"))
    if problems:
        raise ManifestError(f"{plain(run.name)} is not one of this workspace's kind", problems)


def _record(run: Run) -> dict[str, Any]:
    """The record as it stands here, without what only its own workspace can keep."""
    data = run.data
    told = [data["oof"], data["test"], data["submission"] and {"file": "submission.csv"} | data["submission"]]
    told += data.get("submissions", [])
    digests = {kept.name: kept.sha256 for kept in run.files}
    for each in filter(None, told):
        fits = each["file"] in ("oof.arrow", "test.arrow") or SUBMISSION.fullmatch(each["file"])
        if each["sha256"] is not None and (not fits or digests.get(each["file"]) != each["sha256"]):
            raise ValueError(each["file"])
    numbers = [data["cv"], data["cv_std"], data["coverage"]]
    if not all(value is None or isinstance(value, int | float) for value in numbers):
        raise TypeError("cv")
    return data | {"note": plain(data["note"])}


def _hold(ground: Ground, folder: Path, run: Run) -> list[str]:
    """Hold its predictions against the rows here, and its CV against what they score where that is plain."""
    from kagkit.data.predictions import Predictions

    notes = []
    known = {"oof": ground.train.index, "test": ground.test.index}
    for name, rows in known.items():
        kept = run.data[name]
        if kept is None:
            continue
        found = Predictions.open(folder / kept["file"], name=f"{name}.arrow")
        found.table.validate(full=True)
        refuse_other_keys(name, found.keys, rows, partial=name == "oof")
        if found.content_sha256() != kept["content_sha256"]:
            problem = Problem(f"{name}.arrow", "does not say what its record says", hint=ASK)
            raise ReproductionError("the predictions are others", [problem])
    for source, version in ground.versions.items():
        theirs = str(run.data["data"][source])
        if theirs != version:
            told = f"theirs {plain(theirs[:12])}, here {version[:12]}"
            notes.append(f"made on another version of {source}, of the same rows: {told}")
    return notes


def _folds(ground: Ground, aside: Path, name: str) -> dict[str, Any]:
    from kagkit.data import folds

    table = aside / FOLDS
    if not table.is_file():
        return unknown_folds()
    fold_of = folds.read(table, ground.workspace.competition.rows.key)
    return keep_folds(ground, fold_of, aside, name)
