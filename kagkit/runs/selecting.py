"""Choose the rows that each fold trains on by the rules of a manifest, keep them, digest them."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pandas as pd

from kagkit.data import contents, rows
from kagkit.foundation.component import function_files, read_imports
from kagkit.foundation.errors import DataError, Problem, RunError, counted
from kagkit.foundation.files import digest_of, read_json, write_json
from kagkit.runs.additions import Additions
from kagkit.runs.exclusions import Exclusions
from kagkit.runs.failing import guard
from kagkit.runs.grounds import Grounds
from kagkit.runs.inputs import find_inputs
from kagkit.runs.selection import (
    ADDED,
    JUDGED,
    LEFT_OUT,
    ORIGINS,
    PART,
    SELECTION,
    WEIGHT,
    Selecting,
    Selection,
    cached_selection,
    name_of_fit,
    selected_file,
    selection_folder,
    selection_key,
)
from kagkit.runs.watching import ReadWatch, refuse_undeclared
from kagkit.workspace.competition import FILE
from kagkit.workspace.layout import Workspace
from kagkit.workspace.rowrules import TEST


def select_rows(spec_path: str) -> int:
    """Make the selection of an experiment; the entry that engines start.

    Args:
        spec_path: A JSON file with a `Selecting` and the `name` of the selection.

    Returns:
        0 when the selection is cached; 1 when not: `error.json` beside the spec says why.
    """
    root = Path.cwd()
    spec = read_json(root / spec_path)
    name, workspace, work = spec.pop("name"), Workspace(root), (root / spec_path).parent
    what = Selecting(**spec)

    def make() -> None:
        if cached_selection(workspace, what.rows, name) is not None:
            return  # another kagkit was faster
        grounds = Grounds(workspace, what, work)
        watch = ReadWatch(root, _allowed(grounds), work / "reads")
        watch.start()
        selection = make_selection(grounds, name)
        # Code is in the key of the rows by what the loader needs of it; here data are looked for.
        undeclared = tuple(file for file in watch.undeclared() if not file.endswith(".py"))
        refuse_undeclared(undeclared, "name it in competition.yaml: data: {SOURCE: {files: [{file}]}}")
        write_json(selection_folder(workspace, what.rows, name) / SELECTION, asdict(selection))

    return guard(make, root, work, "choosing the rows")


def make_selection(grounds: Grounds, name: str) -> Selection:
    """Choose the rows of every fold, and keep what is chosen.

    Args:
        grounds: What the rules are judged by.
        name: The name of the selection, which must be that of the rules there are.

    Raises:
        DataError: Rules fit no row or leave none, or further rows do not fit.
        ReproductionError: A run that rules name is damaged.
        RunError: The rules changed meanwhile.
    """
    workspace, what = grounds.workspace, grounds.what
    inputs = find_inputs(workspace, grounds.experiment, what.feeds)
    if selection_key(workspace, grounds.experiment, what, inputs) != name:
        found, hint = "changed since the plan was made", "run the same command again"
        raise RunError("the rules on rows changed", [Problem(grounds.experiment.path.name, found, hint=hint)])
    folder = selection_folder(workspace, what.rows, name)
    folder.mkdir(parents=True, exist_ok=True)
    exclusions, additions = Exclusions(grounds), Additions(grounds)
    digests, left_out, origins = {}, {}, {}
    for fold in grounds.fits:
        train, _ = grounds.members(fold)
        fit = name_of_fit(fold)
        left_out[fit] = exclusions.among(train)
        if len(left_out[fit]) == len(train):
            found = f"every one of its {counted(len(train), 'row')} is left out"
            raise DataError("nothing is left to train on", [Problem(f"fold {fit}", found)])
        added, origins[fit] = additions.of_fold(fold)
        tables = {LEFT_OUT: left_out[fit], ADDED: added, ORIGINS: origins[fit]}
        for kind, table in tables.items():
            if len(table):
                contents.save(table, selected_file(folder, kind, fold))
        # Which rule it was decides nothing of what is trained.
        facts = [left_out[fit][[]], added, origins[fit][[PART, WEIGHT]]]
        digests[fit] = digest_of([*map(contents.digest, facts)]) if len(left_out[fit]) + len(added) else ""
    judged = exclusions.among(grounds.train.index)
    if len(judged):
        contents.save(judged, folder / JUDGED)
    return Selection(
        name,
        digests,
        _parts(grounds, additions, folder),
        (*exclusions.told(judged, left_out),),
        (*additions.told(origins),),
    )


def _parts(grounds: Grounds, additions: Additions, folder: Path) -> dict[str, str]:
    """Digests of the parts that rows are added of, without targets, as `prepare` is given them."""
    found = {}
    for part, frame in additions.parts().items():
        plain: pd.DataFrame = rows.without_targets(frame, grounds.material.targets)
        contents.save(plain, folder / f"{part.partition('/')[0]}.arrow")
        found[part] = contents.digest(plain)
    if any(extra.origin == TEST for extra in grounds.experiment.manifest.rows.extra):
        found[grounds.test_part] = grounds.material.parts["test"]
    return found


def _allowed(grounds: Grounds) -> tuple[str, ...]:
    """What the loader may read: all of it is in the key of the selection."""
    workspace, competition = grounds.workspace, grounds.competition
    root, rules = workspace.root, grounds.experiment.manifest.rows
    made = (workspace.runs, workspace.cache, root / "folds")
    places = {str(place.relative_to(root)) for place in made}
    places |= {FILE, grounds.experiment.path.name, *rules.key_files}
    places |= {path for name in rules.sources for path in competition.data[name].files}
    places |= {*read_imports(root, function_files(root, [competition.rows.load])).local}
    return tuple(sorted(places))
