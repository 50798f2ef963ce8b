"""Put what predicts of a frozen final into one zip for the host: weights, code and lock, and no data."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from kagkit.foundation.errors import ManifestError, Problem, ReproductionError
from kagkit.foundation.files import file_sha256, told_when_unwritable, write_json
from kagkit.runs.exchange import pack_files
from kagkit.runs.record import EVENTS, MANIFEST, RECORD, Run, verify_run
from kagkit.runs.usable import manifest_of
from kagkit.workspace.competition import FILE
from kagkit.workspace.layout import Workspace

FOLDER, METADATA = "bundles", "dataset-metadata.json"
DATASET = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*/([a-z0-9][a-z0-9-]{4,48}[a-z0-9])")
LICENCE = "other"  # nobody but the team sees it
PARTS = ("weights/", "code/")


@dataclass(frozen=True)
class Bundle:
    """A zip that predicts wherever kagkit is installed.

    Attributes:
        dataset: What the host is to call it: `anna/tumours-final`.
        path: The zip, relative to the workspace; what Kaggle's client wants to know of it lies beside it.
        sha256: Its digest.
        bytes: Its size.
        files: How many files are in it.
        run: The run that predicts.
    """

    dataset: str
    path: str
    sha256: str
    bytes: int
    files: int
    run: str


def pack_bundle(workspace: Workspace, lock: str, runs: Sequence[Run], dataset: str) -> Bundle:
    """Pack the runs of a final so that `kagkit predict` works where the zip is unpacked.

    It holds the lock, each run's record, weights, code and manifest, the code where the manifests look for
    it, and pretrained weights that they name. Neither rows nor predictions are in it. The same runs give
    the same bytes.

    Args:
        workspace: The workspace.
        lock: The lock's file, relative to the workspace.
        runs: The final's runs, each after those that feed it, the final last.
        dataset: `owner/name` of the private dataset that it is to be.

    Raises:
        ManifestError: The dataset's name is none; a run kept no weights, so that nothing predicts.
        ReproductionError: A run, or a pretrained file, is not as it was recorded.
        RunError: It cannot be written.
    """
    named = DATASET.fullmatch(dataset)
    if named is None:
        expected = "OWNER/NAME, its name 6 to 50 small letters, digits and hyphens"
        raise ManifestError("no such dataset can be", [Problem("--bundle", dataset, expected)])
    _refuse_unfit(runs)
    final = runs[-1]
    sources = {lock: workspace.root / lock, FILE: final.folder / FILE}
    for run in runs:
        sources |= dict(_files(workspace, run))
    folder = workspace.root / FOLDER / final.experiment
    path = folder / f"{named[1]}.zip"
    with told_when_unwritable(FOLDER):
        folder.mkdir(parents=True, exist_ok=True)
    pack_files(path, sources)
    facts = {"id": dataset, "title": named[1], "licenses": [{"name": LICENCE}], "isPrivate": True}
    write_json(folder / METADATA, facts)
    told = path.relative_to(workspace.root).as_posix()
    return Bundle(dataset, told, file_sha256(path), path.stat().st_size, len(sources), final.name)


def _refuse_unfit(runs: Sequence[Run]) -> None:
    damage = [problem for run in runs for problem in verify_run(run)]
    if damage:
        raise ReproductionError("nothing is bundled: a run is not whole", damage)
    weightless = [run.name for run in runs if run.imported or run.data["keeps"] != "weights"]
    if weightless:
        hint = "freeze a final without it, or let its recipe keep weights"
        problems = [Problem(name, "no weights that could predict", hint=hint) for name in weightless]
        raise ManifestError("nothing is bundled: it could not predict", problems)


def _files(workspace: Workspace, run: Run) -> Iterator[tuple[str, Path]]:
    """What a run needs to predict, by its name in the zip."""
    own = f"runs/{run.experiment}/{run.folder.name}"
    for name in (RECORD, EVENTS, MANIFEST, FILE):
        if (run.folder / name).is_file():
            yield f"{own}/{name}", run.folder / name
    for kept in run.files:
        if kept.name.startswith(PARTS):
            yield f"{own}/{kept.name}", run.folder / kept.name
        if kept.name.startswith("code/"):
            yield kept.name.removeprefix("code/"), run.folder / kept.name
    for asset in manifest_of(run).assets.values():
        if not (workspace.root / asset.path).is_file():
            raise ReproductionError("nothing is bundled", [Problem(asset.path, "missing", run.name)])
        yield asset.path, workspace.root / asset.path
