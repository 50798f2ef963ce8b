"""Put finished tasks together: OOF, test predictions, scores, submission, record; then commit the run."""

from __future__ import annotations

import shutil
import statistics
import time
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from kagkit.data import contents
from kagkit.data.predictions import Predictions, Written
from kagkit.foundation.errors import ReproductionError, RunError
from kagkit.foundation.files import (
    append_json_line,
    commit_folder,
    file_sha256,
    held,
    link_or_copy,
    read_json,
    write_json,
)
from kagkit.metrics.scoring import Scorer, read_sample
from kagkit.metrics.truth import flattery
from kagkit.runs.assembling import AssemblySpec, Part, read_assembly
from kagkit.runs.failing import guard
from kagkit.runs.inputs import SAME
from kagkit.runs.interface import read_interface
from kagkit.runs.lineage_rows import ROWS_FILE
from kagkit.runs.material import cached_material, rows_folder, scheme_of, stage_sources
from kagkit.runs.origins import code_files, metric_facts, refuse_changed
from kagkit.runs.record import FORMAT, answers_plan, events_seal, latest_run, run_folders, seal_record
from kagkit.runs.rowsheet import RowSheet
from kagkit.runs.scorecard import FoldFile, Scorecard
from kagkit.runs.store import Stored, list_kept, read_task, verify_task
from kagkit.runs.surroundings import describe_surroundings
from kagkit.runs.variants import Variant, score_variants, write_submission
from kagkit.runs.watching import ReadWatch, refuse_undeclared
from kagkit.workspace.layout import Workspace
from kagkit.workspace.ledger import read_scores
from kagkit.workspace.manifest import Making


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
        scored = [run for run in read_scores(workspace) if run.startswith(f"{name}/")]
        taken += [run.partition("/")[2].partition(":")[0] for run in scored]
        packaged = (path.name.removeprefix(f"{name}-") for path in workspace.submissions.glob(f"{name}-*"))
        taken += [number for number in (each.partition("-")[0] for each in packaged) if number.isdigit()]
        return max(map(int, taken), default=0) + 1

    def _write(self, number: int) -> None:
        """Write the run aside, the record last."""
        refuse_changed(self.workspace.root, self.spec.origins, "assembling the run")
        shutil.rmtree(self.aside, ignore_errors=True)
        self.aside.mkdir(parents=True)
        watch = ReadWatch(self.workspace.root, self._allowed(), self.aside.with_name("reads"))
        watch.start()
        oof, variants = self._score_folds()
        test = self._combine_test()
        submissions = self._write_submissions(variants, test)
        probes = self._combine_probes()
        refuse_undeclared(watch.undeclared(), "name it in the manifest: code: [{file}]")
        sheet = RowSheet(self.workspace, self.spec)
        sheet.write(self.aside / ROWS_FILE)
        card = replace(self._scorecard, scorer=variants[0].scorer)
        chosen = sheet.told(card, self._held_out, self.aside / "oof.arrow")
        self._keep_sources()
        weights = self._link_weights()
        self._write_events()
        record = self._record(number, variants[0])
        record |= {
            "cv_kept": chosen["cv_kept"],
            "rows": record["rows"] | chosen["rows"],
            "oof": oof.as_json("oof.arrow") if oof else None,
            "test": test.as_json("test.arrow") if test else None,
            "probes": probes,
            "submission": {name: submissions[0][name] for name in ("sha256", "rows")} if test else None,
            "submissions": submissions,
            "weights": weights,
            "interface": self._interface(variants, test),
        }
        record["files"] = [asdict(kept) for kept in list_kept(self.aside) if kept.name != "events.jsonl"]
        write_json(self.aside / "record.json", seal_record(record))

    def _score_folds(self) -> tuple[Written | None, list[Variant]]:
        """OOF over all folds and seeds, and each variant with its scores on it."""
        held_out, card, path = self._held_out, self._scorecard, self.aside / "oof.arrow"
        oof = card.put_together(path, held_out) if held_out else None
        makings = self.experiment.manifest.variants
        return oof, score_variants(card, makings, held_out, path, complete=self.spec.complete)

    def _combine_test(self) -> Written | None:
        tests = self._tests
        return self._scorecard.combined(self.aside / "test.arrow", tests) if tests else None

    def _combine_probes(self) -> dict[str, dict[str, Any]]:
        """What tasks measured of the rows they predicted, averaged as predictions are."""
        found = self._scorecard.put_probes_together(self.aside / "probes", self._held_out, self._tests)
        return {
            name: {which: written.as_json(f"probes/{name}-{which}.arrow") for which, written in sets.items()}
            for name, sets in found.items()
        }

    @cached_property
    def _held_out(self) -> list[FoldFile]:
        return [FoldFile(part.seed, part.fold, path) for part, path in self._predicted("valid")]

    @cached_property
    def _tests(self) -> list[Path]:
        return [path for _, path in self._predicted("test")]

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

    def _write_submissions(self, variants: list[Variant], test: Written | None) -> list[dict[str, Any]]:
        """Every variant as the record tells it, its file written where there are test predictions."""
        told = []
        for variant in variants:
            written: dict[str, Any] = {"sha256": None, "rows": None}
            if test is not None:
                predictions, ordered = Predictions.open(self.aside / "test.arrow"), not self.spec.smoke
                path, rows = self.aside / variant.file, self._read("test")
                written = write_submission(path, variant.scorer, predictions, rows, ordered=ordered)
            told.append(variant.as_json() | written)
        return told

    def _interface(self, variants: list[Variant], test: Written | None) -> dict[str, Any] | None:
        if test is None:
            return None
        # A function of the user's makes its submission alone; without one, it must be told what is made.
        plain = [variant.scorer for variant in variants if variant.scorer.making.make is None]
        scorer = plain[0] if plain else variants[0].scorer
        answers = scorer.answers(Predictions.open(self.aside / "test.arrow"))
        return asdict(read_interface(self._read("test"), self._material.targets, answers))

    def _keep_sources(self) -> None:
        """Copy what was run: manifest, competition, recipe and the local modules behind them."""
        root, experiment = self.workspace.root, self.experiment
        shutil.copyfile(experiment.path, self.aside / "manifest.yaml")
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

    def _record(self, number: int, first: Variant) -> dict[str, Any]:
        spec, manifest = self.spec, self.experiment.manifest
        table = self.workspace.fold_file(spec.fold_set)
        material = self._material
        covered = {score["fold"]: score["rows"] for score in first.scores}
        tasks = [(part, read_task(self.workspace.tasks / part.folder)) for part in spec.parts]
        return {
            "kagkit": FORMAT,
            "competition": self.competition.competition,
            "experiment": spec.experiment,
            "number": number,
            "run": f"{spec.experiment}/{number}",
            "stage": spec.stage,
            "note": manifest.note,
            "complete": spec.complete,
            "plan_key": spec.plan_key,
            "manifest_sha256": file_sha256(self.aside / "manifest.yaml"),
            "data": spec.versions,
            "fold_set": {
                "name": spec.fold_set,
                "sha256": file_sha256(table),
                "bytes": table.stat().st_size,
                "made": material.folds_told,
            },
            "metric": metric_facts(self.workspace),
            "cv": first.cv,
            "cv_std": first.cv_std,
            "optimism": self._optimism(first),
            "coverage": sum(covered.values()) / material.train_rows if covered else None,
            "rows": {"train": material.train_rows, "test": material.test_rows, "dropped": material.dropped},
            "ingested": material.ingested,
            "folds": first.scores,
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
            "parents": list(spec.parents),
            "nested": all(parent.get("folds", SAME) == SAME for parent in spec.parents),
        }

    def _optimism(self, first: Variant) -> float | None:
        """How much better the score looks of what was found on all rows: by a recipe, for a submission."""
        if first.fit is not None:
            return first.fit.optimism
        cv = first.cv
        name = self.experiment.recipe.in_sample
        whole = [part for part in self.spec.parts if part.kind == "train" and part.fold is None]
        if not name or not whole or cv is None or not self.spec.complete:
            return None
        told = [read_json(self.workspace.tasks / part.folder / "out" / name)["in_sample"] for part in whole]
        if None in told:
            return None
        return flattery(statistics.fmean(told), cv, self.competition.metric.greater_is_better)

    def _allowed(self) -> tuple[str, ...]:
        """What metric, solution, submission and combination may read: all of it is in the plan key."""
        workspace, root = self.workspace, self.workspace.root
        made = (workspace.runs, workspace.cache, root / "folds")
        places = {str(place.relative_to(root)) for place in made} | set(self.spec.origins)
        sources = [self.competition.sources[name] for name in stage_sources(self.spec.stage)]
        places |= {path for source in sources for part in source.values() for path in part}
        own = scheme_of(self.competition, self.spec.fold_set).file
        places |= {own} if own else set()
        return tuple(sorted(places))

    @cached_property
    def _material(self) -> Any:
        material = cached_material(self.workspace, self.spec.rows, self.spec.fold_set)
        if material is None:
            raise RunError("the cached rows are gone: run the same command again")
        return material

    @cached_property
    def _scorecard(self) -> Scorecard:
        """Who scores; each variant of the manifest takes its own way in place of none."""
        root, targets = self.workspace.root, self._material.targets
        sample = read_sample(root, self.competition, self.spec.stage)
        scorer = Scorer(root, self.competition, Making(), sample, targets, self._train)
        return Scorecard(scorer, self._train, self.experiment.manifest.combine)

    @cached_property
    def _train(self) -> Any:
        return self._read("train")

    def _read(self, split: str) -> Any:
        return contents.read(rows_folder(self.workspace, self.spec.rows) / f"{split}.arrow")
