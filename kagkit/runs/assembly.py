"""Put finished tasks together: OOF, test predictions, scores, submission, record; then commit the run."""

from __future__ import annotations

import shutil
import statistics
import time
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

from kagkit.data import combining, contents, folds
from kagkit.data.predictions import Predictions, Written
from kagkit.foundation.component import function_code, import_function
from kagkit.foundation.errors import KagkitError, ReproductionError, RunError
from kagkit.foundation.files import (
    append_json_line,
    commit_folder,
    digest_of,
    file_sha256,
    held,
    link_or_copy,
    write_file,
    write_json,
)
from kagkit.metrics.scoring import Scorer, read_sample, to_sample_order
from kagkit.runs.assembling import AssemblySpec, Part, read_assembly
from kagkit.runs.failing import guard
from kagkit.runs.interface import read_interface
from kagkit.runs.material import cached_material, rows_folder, scheme_of
from kagkit.runs.origins import code_files, refuse_changed
from kagkit.runs.record import (
    FORMAT,
    MANIFEST,
    answers_plan,
    events_seal,
    latest_run,
    run_folders,
    seal_record,
)
from kagkit.runs.store import Stored, list_kept, read_task, verify_task
from kagkit.runs.surroundings import describe_surroundings
from kagkit.runs.watching import ReadWatch, refuse_undeclared
from kagkit.workspace.layout import Workspace
from kagkit.workspace.ledger import read_scores


def assemble(spec_path: str) -> int:
    """Assemble a run; the entry that engines start.

    Args:
        spec_path: The spec's file, relative to the workspace, which is the current folder.

    Returns:
        0 when the run is committed; 1 when it could not be: `error.json` beside the spec says why.
    """
    root = Path.cwd()
    folder = (root / spec_path).parent
    spec = read_assembly(root / spec_path)
    assembly = _Assembly(Workspace(root, smoke=spec.smoke), spec, folder / "run")
    return guard(assembly.commit, root, folder, "assembling the run")


class _Assembly:
    """One run being put together in a folder of its own."""

    def __init__(self, workspace: Workspace, spec: AssemblySpec, aside: Path) -> None:
        self.workspace = workspace
        self.spec = spec
        self.aside = aside
        self.experiment = workspace.experiment(spec.experiment)
        self.competition = workspace.competition

    def commit(self) -> None:
        """Write everything and give the folder its name, unless another kagkit has done it meanwhile."""
        workspace, name = self.workspace, self.spec.experiment
        # Held from the start: two commands that finish together would write in the same place.
        with held(workspace.work / f"{name}.run.lock"):
            latest = latest_run(workspace, name, complete=self.spec.complete)
            if latest is not None and answers_plan(latest, self.spec.plan_key):
                return
            number = self._next_number()
            self._write(number)
            final = workspace.runs / name / f"{number:03d}-{self.spec.plan_key[:8]}"
            if not commit_folder(self.aside, final):
                raise RunError(f"run {number} of {name} is there already")

    def _next_number(self) -> int:
        """One more than any number this experiment had: a score or a package may outlive its run's folder."""
        workspace, name = self.workspace, self.spec.experiment
        taken = [folder.name.partition("-")[0] for folder in run_folders(workspace, name)]
        taken += [run.partition("/")[2] for run in read_scores(workspace) if run.startswith(f"{name}/")]
        packaged = (path.name.removeprefix(f"{name}-") for path in workspace.submissions.glob(f"{name}-*"))
        taken += [number for number in packaged if number.isdigit()]
        return max(map(int, taken), default=0) + 1

    def _write(self, number: int) -> None:
        """Write the run aside, the record last."""
        refuse_changed(self.workspace.root, self.spec.origins, "assembling the run")
        shutil.rmtree(self.aside, ignore_errors=True)
        self.aside.mkdir(parents=True)
        watch = ReadWatch(self.workspace.root, self._allowed(), self.aside.with_name("reads"))
        watch.start()
        oof, scores, cv = self._score_folds()
        test = self._combine_test()
        submission = self._write_submission(test)
        refuse_undeclared(watch.undeclared(), "name it in the manifest: code: [{file}]")
        self._keep_sources()
        weights = self._link_weights()
        self._write_events()
        record = self._record(number, scores, cv) | {
            "oof": self._told(oof, "oof.arrow"),
            "test": self._told(test, "test.arrow"),
            "submission": submission,
            "weights": weights,
            "interface": self._interface(test),
        }
        record["files"] = [asdict(kept) for kept in list_kept(self.aside) if kept.name != "events.jsonl"]
        write_json(self.aside / "record.json", seal_record(record))

    def _score_folds(self) -> tuple[Written | None, list[dict[str, Any]], float | None]:
        """OOF over all folds and seeds, each fold's own score, and the CV."""
        by_seed: dict[int, list[Path]] = {}
        scores: list[dict[str, Any]] = []
        for part, path in self._predicted("valid"):
            by_seed.setdefault(part.seed, []).append(path)
            scores.append({"seed": part.seed, "fold": part.fold} | self._score_fold(part, path))
        if not by_seed:
            return None, [], None
        members = []
        for seed, paths in sorted(by_seed.items()):
            path = self.aside / f".oof-{seed}.arrow"
            combining.concatenate(path, [Predictions.open(member) for member in paths])
            members.append(path)
        oof = self._combine("oof.arrow", members)
        for path in members:
            path.unlink()
        if self.competition.metric.cv == "fold_mean":
            return oof, scores, statistics.fmean(float(score["score"]) for score in scores)
        return oof, scores, self._score(Predictions.open(self.aside / "oof.arrow"))[0]

    def _score_fold(self, part: Part, path: Path) -> dict[str, Any]:
        """A fold's own score; none where the metric is not defined on it and the CV does not need it."""
        predicted = Predictions.open(path)
        try:
            return {"score": self._score(predicted)[0], "rows": len(predicted.keys)}
        except KagkitError as error:
            if self.competition.metric.cv == "pooled":
                return {"score": None, "rows": len(predicted.keys), "note": str(error)}
            what = f"seed {part.seed}, fold {part.fold}: {error.summary}"
            raise type(error)(what, error.problems) from error

    def _score(self, predicted: Predictions) -> tuple[float, int]:
        scorer, labelled = self._scorer, self._train
        held_out = labelled.loc[folds.is_in(labelled.index, predicted.keys)]
        return scorer.score(scorer.solution(held_out), scorer.make(predicted, held_out)), len(held_out)

    def _combine_test(self) -> Written | None:
        members = [path for _, path in self._predicted("test")]
        return self._combine("test.arrow", members) if members else None

    def _combine(self, name: str, members: list[Path]) -> Written:
        how: Any = self.experiment.manifest.combine
        if ":" in how:
            how = import_function(self.workspace.root, how)
        return combining.combine(self.aside / name, [Predictions.open(path) for path in members], how)

    def _predicted(self, row_set: str) -> list[tuple[Part, Path]]:
        """The predictions of a row set, by seed and fold."""
        tasks = self.workspace.tasks
        parts = [part for part in self.spec.parts if row_set in part.row_sets]
        stored = [Stored(tasks / part.folder, read_task(tasks / part.folder)) for part in parts]
        damage = [problem for task in stored for problem in verify_task(task)]
        if damage:
            raise ReproductionError("finished tasks are damaged", damage)
        found = [(part, tasks / part.folder / "out" / f"{row_set}.arrow") for part in parts]
        return sorted(found, key=lambda item: (item[0].seed, -1 if item[0].fold is None else item[0].fold))

    def _write_submission(self, test: Written | None) -> dict[str, Any] | None:
        if test is None:
            return None
        table = self._scorer.make(Predictions.open(self.aside / "test.arrow"), self._read("test"))
        sample = self._scorer.sample
        if sample is not None and not self.spec.smoke:
            table = to_sample_order(table, sample, list(self.competition.submission_key))
        path = self.aside / "submission.csv"
        write_file(path, table.to_csv(index=False, lineterminator="\n"))
        return {"sha256": file_sha256(path), "rows": len(table)}

    def _interface(self, test: Written | None) -> dict[str, Any] | None:
        if test is None:
            return None
        answers = self._scorer.answers(Predictions.open(self.aside / "test.arrow"))
        return asdict(read_interface(self._read("test"), self._material.targets, answers))

    def _keep_sources(self) -> None:
        """Copy what was run: manifest, competition, recipe and the local modules behind them."""
        root, experiment = self.workspace.root, self.experiment
        shutil.copyfile(experiment.path, self.aside / MANIFEST)
        shutil.copyfile(root / "competition.yaml", self.aside / "competition.yaml")
        for file in code_files(self.workspace, experiment):
            target = self.aside / "code" / file
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(root / file, target)

    def _link_weights(self) -> list[dict[str, Any]]:
        weights = []
        for part in self.spec.parts:
            if part.kind != "train" or self.spec.keeps != "weights":
                continue
            fold = "full" if part.fold is None else f"fold{part.fold}"
            stored = self.workspace.tasks / part.folder
            for kept in read_task(stored).files:
                name = f"weights/seed{part.seed}-{fold}/{kept.name}"
                link_or_copy(stored / "out" / kept.name, self.aside / name)
                told = {"name": name, "sha256": kept.sha256, "bytes": kept.bytes}
                weights.append({"seed": part.seed, "fold": part.fold} | told)
        return weights

    def _write_events(self) -> None:
        path = self.aside / "events.jsonl"
        for part in self.spec.parts:
            told = {
                name: getattr(part, name)
                for name in ("identity", "label", "kind", "seconds", "reused", "reason")
            }
            append_json_line(path, {"event": "task"} | told)
        append_json_line(path, {"event": "assembled", "time": round(time.time(), 3)})
        append_json_line(path, events_seal(path.read_bytes()))

    def _record(self, number: int, scores: list[dict[str, Any]], cv: float | None) -> dict[str, Any]:
        spec, manifest, metric = self.spec, self.experiment.manifest, self.competition.metric
        table = self.workspace.fold_file(spec.fold_set)
        material = self._material
        covered = {score["fold"]: score["rows"] for score in scores}
        tasks = [(part, read_task(self.workspace.tasks / part.folder)) for part in spec.parts]
        return {
            "kagkit": FORMAT,
            "competition": self.competition.competition,
            "experiment": spec.experiment,
            "number": number,
            "run": f"{spec.experiment}/{number}",
            "stage": 1,
            "note": manifest.note,
            "complete": spec.complete,
            "plan_key": spec.plan_key,
            "manifest_sha256": file_sha256(self.aside / MANIFEST),
            "data": spec.versions,
            "fold_set": {
                "name": spec.fold_set,
                "sha256": file_sha256(table),
                "bytes": table.stat().st_size,
                "made": material.folds_told,
            },
            "metric": asdict(metric) | {"code": self._metric_code()},
            "cv": cv,
            "cv_std": _spread(scores),
            "coverage": sum(covered.values()) / material.train_rows if covered else None,
            "rows": {"train": material.train_rows, "test": material.test_rows, "dropped": material.dropped},
            "folds": scores,
            "keeps": spec.keeps,
            "deterministic": not spec.differs,
            "differs": list(spec.differs),
            "accepted": spec.accepted,
            "reads": self.experiment.reads,
            **describe_surroundings(self.workspace.tasks, spec.parts, manifest),
            "tasks": [
                {
                    "identity": part.identity,
                    "label": part.label,
                    "kind": part.kind,
                    "key": task.key,
                    "folder": part.folder,
                    "content": task.content,
                    "ingredients": task.ingredients,
                    "undeclared": list(task.undeclared),
                }
                for part, task in tasks
            ],
            "parents": [],
        }

    def _metric_code(self) -> str:
        """One digest for the workspace code of metric and solution."""
        root, metric = self.workspace.root, self.competition.metric
        return digest_of([function_code(root, metric.score), function_code(root, metric.solution)])

    def _allowed(self) -> tuple[str, ...]:
        """What metric, solution, submission and combination may read: all of it is in the plan key."""
        workspace, root = self.workspace, self.workspace.root
        made = (workspace.runs, workspace.cache, root / "folds")
        places = {str(place.relative_to(root)) for place in made} | set(self.spec.origins)
        places |= {path for part in self.competition.stages["1"].parts.values() for path in part}
        own = scheme_of(self.competition, self.spec.fold_set).file
        places |= {own} if own else set()
        return tuple(sorted(places))

    def _told(self, written: Written | None, name: str) -> dict[str, Any] | None:
        if written is None:
            return None
        return {
            "file": name,
            "rows": written.rows,
            "sha256": written.sha256,
            "content_sha256": written.content_sha256,
        }

    @cached_property
    def _material(self) -> Any:
        material = cached_material(self.workspace, self.spec.rows, self.spec.fold_set)
        if material is None:
            raise RunError("the cached rows are gone: run the same command again")
        return material

    @cached_property
    def _scorer(self) -> Scorer:
        sample = read_sample(self.workspace.root, self.competition)
        making = self.experiment.manifest.submission
        return Scorer(
            self.workspace.root, self.competition, making, sample, self._material.targets, self._train
        )

    @cached_property
    def _train(self) -> Any:
        return self._read("train")

    def _read(self, split: str) -> Any:
        return contents.read(rows_folder(self.workspace, self.spec.rows) / f"{split}.arrow")


def _spread(scores: list[dict[str, Any]]) -> float | None:
    """The sample standard deviation of the folds' scores, seeds averaged first; None below two folds."""
    by_fold: dict[int, list[float]] = {}
    for score in scores:
        if score["score"] is not None:
            by_fold.setdefault(score["fold"], []).append(score["score"])
    means = [statistics.fmean(values) for values in by_fold.values()]
    return statistics.stdev(means) if len(means) > 1 else None
