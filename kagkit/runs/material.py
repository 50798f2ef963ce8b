"""Load a stage's rows once, make or extend the folds, and digest what every task will be given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from kagkit.foundation.component import function_code, function_files, import_function, read_imports
from kagkit.foundation.errors import SAMPLES_SHOWN, DataError, Problem, samples
from kagkit.foundation.files import digest_of, file_sha256, held, read_json, write_json
from kagkit.runs.failing import guard
from kagkit.runs.watching import ReadWatch, refuse_undeclared
from kagkit.workspace.competition import FILE, Competition
from kagkit.workspace.experiment import Experiment
from kagkit.workspace.layout import Workspace
from kagkit.workspace.schemes import Scheme

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class FoldDigests:
    """Content digests of one fold's tables; `valid` is empty for a fit on all rows."""

    train: str
    valid: str
    valid_rows: int


@dataclass(frozen=True)
class Material:
    """What the rows are, without the rows: small enough to be read when there is nothing to do.

    Attributes:
        key: Names the folder of cached rows.
        targets: Columns `predict` never sees.
        train_rows: Training rows, after exact duplicates were dropped.
        test_rows: Test rows.
        dropped: Exact duplicates dropped.
        parts: For `train` and `test`, the digest of the rows without targets.
        folds: By fold number as text; `full` for a fit on all rows.
        folds_told: How the folds were made, in words.
        ingested: What stage 2 did to the training rows; None in stage 1.
    """

    key: str
    targets: tuple[str, ...]
    train_rows: int
    test_rows: int
    dropped: int
    parts: dict[str, str]
    folds: dict[str, FoldDigests]
    folds_told: str
    ingested: dict[str, Any] | None = None


def rows_key(workspace: Workspace, stage: int, versions: Mapping[str, Mapping[str, str]]) -> str:
    """The key of a stage's loaded rows: the loader's code, the row rules, and the data they come from.

    Args:
        workspace: The workspace.
        stage: The stage; the second is made of both stages' rows.
        versions: sha256 of every source's parts: `{"stage1": {"train": …}}`.
    """
    competition = workspace.competition
    return digest_of(
        {
            "code": function_code(workspace.root, competition.rows.load),
            "rules": asdict(competition.rows),
            "targets": competition.submission.target,
            "stage": stage,
            "parts": [versions[source] for source in stage_sources(stage)],
            "order": [PurePosixPath(path).name for path in competition.stages[str(stage)].files],
            "smoke": workspace.smoke,
        }
    )[:32]


def stage_sources(stage: int) -> tuple[str, ...]:
    """The sources a stage's rows come from.

    Example:
        >>> stage_sources(2)
        ('stage1', 'stage2')
    """
    return tuple(f"stage{number}" for number in range(1, stage + 1))


def sources_of(experiment: Experiment) -> tuple[str, ...]:
    """Every source of data that decides an experiment: its stage's, and the further ones it names."""
    manifest = experiment.manifest
    return (*stage_sources(manifest.stage), *(source for source in manifest.data if source != "main"))


def rows_folder(workspace: Workspace, key: str) -> Path:
    """Where a stage's loaded rows are cached."""
    return workspace.cache / "rows" / key


def scheme_of(competition: Competition, name: str) -> Scheme:
    """The declared scheme of a fold set; the default one where nothing is declared."""
    return competition.folds.get(name, Scheme())


def material_file(workspace: Workspace, key: str, fold_set: str) -> Path | None:
    """Where the material of these rows and this fold set is cached; None before the folds are written."""
    table = workspace.fold_file(fold_set)
    if not table.exists():
        return None
    scheme = scheme_of(workspace.competition, fold_set)
    own = file_sha256(workspace.root / scheme.file) if scheme.file else ""
    code = function_code(workspace.root, scheme.function)
    name = digest_of({"scheme": asdict(scheme), "own": own, "code": code, "table": file_sha256(table)})[:32]
    return rows_folder(workspace, key) / f"folds-{fold_set}-{name}.json"


def cached_material(workspace: Workspace, key: str, fold_set: str) -> Material | None:
    """The material of these rows and folds, where it was made before and its rows are still cached."""
    path = material_file(workspace, key, fold_set)
    if path is None or not path.exists():
        return None
    if not all((path.parent / f"{split}.arrow").exists() for split in ("train", "test")):
        return None
    try:
        data = read_json(path)
        folds = {name: FoldDigests(**digests) for name, digests in data["folds"].items()}
        return Material(**{**data, "folds": folds, "targets": tuple(data["targets"])})
    except (ValueError, TypeError, KeyError, AttributeError):
        return None  # a damaged cache is made again


def make_material(workspace: Workspace, stage: int, key: str, fold_set: str) -> Material:
    """Load the rows, settle the folds, cache both, and digest them.

    Raises:
        DataError: The rows or the folds break a rule.
    """
    from kagkit.data import contents, rows
    from kagkit.data.stages import load_stage

    competition = workspace.competition
    loaded = load_stage(workspace, stage)
    train_frame, test_frame, targets = loaded.train, loaded.test, loaded.targets
    _refuse_unscorable(workspace, stage, train_frame, test_frame)
    with held(workspace.cache / f"folds-{fold_set}.lock"):
        fold_of, told = _settle_folds(workspace, stage, fold_set, train_frame, targets)
    if workspace.smoke:
        train_frame = rows.smoke_subset(train_frame, targets)
        test_frame = rows.smoke_subset(test_frame, ())
        fold_of = fold_of.loc[train_frame.index]
    scheme = scheme_of(competition, fold_set)
    folder = rows_folder(workspace, key)
    folder.mkdir(parents=True, exist_ok=True)
    contents.save(train_frame, folder / "train.arrow")
    contents.save(test_frame, folder / "test.arrow")
    material = Material(
        key=key,
        targets=targets,
        train_rows=len(train_frame),
        test_rows=len(test_frame),
        dropped=loaded.dropped,
        parts={
            "train": contents.digest(rows.without_targets(train_frame, targets)),
            "test": contents.digest(rows.without_targets(test_frame, targets)),
        },
        folds=_fold_digests(train_frame, fold_of, scheme),
        folds_told=told,
        ingested=asdict(loaded.ingestion) if loaded.ingestion else None,
    )
    path = material_file(workspace, key, fold_set)
    if path is not None:
        write_json(path, asdict(material))
    return material


def _refuse_unscorable(workspace: Workspace, number: int, train: pd.DataFrame, test: pd.DataFrame) -> None:
    """Tell before any training what would end it: no truth to score with, a sample of other rows.

    Raises:
        ManifestError: The metric, or the function that writes the truth, cannot be imported.
        DataError: The training rows lack the submission's target, or the sample is not of the test rows.
    """
    from kagkit.metrics.scoring import read_sample

    competition = workspace.competition
    stage, asked = competition.stages[str(number)], competition.submission
    problems = []
    for reference in (competition.metric.score, competition.metric.solution):
        if reference is not None:
            import_function(workspace.root, reference)
    if competition.metric.solution is None:
        hint = "say how the truth looks: metric: {solution: module:function}"
        lacking = [column for column in asked.target if column not in train.columns]
        problems += [Problem(stage.train, f"no column {column}, the target", hint=hint) for column in lacking]
    sample = read_sample(workspace.root, competition, number)
    if sample is not None and competition.submission_key == competition.rows.key:
        where, ids = str(stage.sample_submission), sample.set_index(list(competition.rows.key)).index
        strange, lost = ids.difference(test.index), test.index.difference(ids)
        if len(strange):
            problems.append(Problem(where, f"{len(strange):,} ids that no test row has: {_some(strange)}"))
        if len(lost):
            problems.append(Problem(where, f"no line for {len(lost):,} test rows: {_some(lost)}"))
    if problems:
        raise DataError("what is trained could not be scored or submitted", problems)


def _some(keys: pd.Index[Any]) -> str:
    from kagkit.data.rows import key_texts

    return samples(key_texts(keys[:SAMPLES_SHOWN]), len(keys))


def _allowed(workspace: Workspace, stage: int, fold_set: str) -> tuple[str, ...]:
    """What the loader and the fold function may read: all of it is in the key of the rows or of the folds."""
    competition, root = workspace.competition, workspace.root
    scheme = scheme_of(competition, fold_set)
    starts = function_files(root, [competition.rows.load, scheme.function])
    places = {"folds", str(workspace.cache.relative_to(root)), str(workspace.runs.relative_to(root)), FILE}
    parts = [part for source in stage_sources(stage) for part in competition.sources[source].values()]
    places |= {path for part in parts for path in part}
    places |= {*read_imports(root, starts).local}
    places |= {path for path in (scheme.file, competition.stages[str(stage)].sample_submission) if path}
    return tuple(sorted(places))


def take_stock(spec_path: str) -> int:
    """Make the material of a run; the entry that engines start.

    Args:
        spec_path: A JSON file with the stage, the key of its rows, the fold set, and whether it is a smoke
            run.

    Returns:
        0 when the material is cached; 1 when not: `error.json` beside the spec says why.
    """
    root = Path.cwd()
    spec = read_json(root / spec_path)
    workspace = Workspace(root, smoke=spec["smoke"])

    def make() -> None:
        if cached_material(workspace, spec["key"], spec["fold_set"]) is not None:
            return  # another kagkit was faster
        watch = ReadWatch(
            root, _allowed(workspace, spec["stage"], spec["fold_set"]), (root / spec_path).with_name("reads")
        )
        watch.start()
        make_material(workspace, spec["stage"], spec["key"], spec["fold_set"])
        # Code is in the keys by what the loader needs of it; here data are looked for.
        undeclared = tuple(file for file in watch.undeclared() if not file.endswith(".py"))
        made = material_file(workspace, spec["key"], spec["fold_set"])
        if undeclared and made is not None:
            made.unlink()
        refuse_undeclared(
            undeclared, f"name it in competition.yaml: stages: {{{spec['stage']}: {{files: [{{file}}]}}}}"
        )

    return guard(make, root, (root / spec_path).parent, "reading the rows")


def fold_members(frame: pd.DataFrame, fold_of: pd.Series[int], fold: int | None, scheme: Scheme) -> Any:
    """The keys a fold trains on and validates on, each in the order of the rows."""
    from kagkit.data import dealing, folds

    train, valid = dealing.members(fold_of, fold, frame, scheme)
    return frame.index[folds.is_in(frame.index, train)], frame.index[folds.is_in(frame.index, valid)]


def _settle_folds(
    workspace: Workspace, stage: int, name: str, frame: pd.DataFrame, targets: tuple[str, ...]
) -> tuple[pd.Series[int], str]:
    """The fold of every row: as written before, new rows added, made where there is no table yet."""
    from kagkit.data import choosing, dealing, folds

    competition = workspace.competition
    scheme = choosing.choose(scheme_of(competition, name), frame, targets, competition.rows.group)
    # Whoever makes the folds, groups stay whole; time alone cuts through them.
    group = None if scheme.scheme == "time" else scheme.group or competition.rows.group
    function: Any = import_function(workspace.root, scheme.function) if scheme.function else None
    path = workspace.fold_file(name)
    if path.exists():
        fold_of = folds.read(path, competition.rows.key)
        own = scheme.file or scheme.function
        if own or len(frame.index.difference(fold_of.index)):
            only_trained = competition.stages[str(stage)].new_rows == "train_only"
            fold_of = dealing.extend(
                fold_of, frame, scheme, function, workspace.root, only_trained=only_trained
            )
            folds.write(path, fold_of)
    else:
        path.with_suffix(".json").unlink(missing_ok=True)  # told of a table that somebody removed
        fold_of = dealing.make(frame, scheme, function, workspace.root)
        folds.check(fold_of, frame, group)
        folds.write(path, fold_of)
    folds.check(fold_of, frame, group)
    return fold_of, _words_of(workspace, name, choosing.describe(scheme))


def _words_of(workspace: Workspace, name: str, told: str) -> str:
    """How a fold set was made, in words kept beside its table from the first time on.

    Raises:
        DataError: competition.yaml tells of other folds now, which would not be heeded.
    """
    path = workspace.fold_file(name).with_suffix(".json")
    declared = {
        "scheme": asdict(scheme_of(workspace.competition, name)),
        "group": workspace.competition.rows.group,
    }
    if not path.exists():
        write_json(path, {"kagkit": 1, "made": told, "declared": declared})
        return told
    made = read_json(path)
    if made["declared"] != declared:
        hint = "old rows never move: give the new set a name of its own, or take the change back"
        problem = Problem(
            f"folds/{name}.csv", f"made as {made['made']}", f"{told}, as competition.yaml says", hint
        )
        raise DataError("folds never change once written", [problem])
    return str(made["made"])


def _fold_digests(frame: pd.DataFrame, fold_of: pd.Series[int], scheme: Scheme) -> dict[str, FoldDigests]:
    from kagkit.data import contents

    digests = {"full": FoldDigests(contents.digest(frame), "", 0)}
    numbers = sorted({int(fold) for fold in fold_of if fold >= 0})
    for fold in numbers:
        train, valid = fold_members(frame, fold_of, fold, scheme)
        if not len(train) or not len(valid):
            problem = Problem(f"fold {fold}", f"{len(train)} rows to train on, {len(valid)} to validate on")
            raise DataError("a fold has no rows", [problem])
        digests[str(fold)] = FoldDigests(
            contents.digest(frame.loc[train]), contents.digest(frame.loc[valid]), len(valid)
        )
    return digests
