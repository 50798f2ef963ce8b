"""Say what is still to do and why: every task's key, what is done, what changed since the last run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from kagkit.foundation.component import WHOLE
from kagkit.foundation.errors import ManifestError, Problem
from kagkit.foundation.files import digest_of
from kagkit.runs.choices import Choice, Planned
from kagkit.runs.ingredients import arguments_of, fed_to, files_of
from kagkit.runs.inputs import Input
from kagkit.runs.judging import judging_facts
from kagkit.runs.material import Material, stage_sources
from kagkit.runs.origins import digest_files
from kagkit.runs.presentation import describe_presentation
from kagkit.runs.reasons import History
from kagkit.runs.record import Run
from kagkit.runs.selection import Selection
from kagkit.runs.spec import Kind, TaskSpec, label_task
from kagkit.runs.starting import Starting
from kagkit.runs.store import Stored, find_task, key_of
from kagkit.workspace.experiment import Experiment
from kagkit.workspace.layout import Workspace


@dataclass(frozen=True)
class Planner:
    """Makes an experiment's tasks, level by level: a level's keys need the contents of the one before.

    Attributes:
        workspace: The workspace.
        experiment: The experiment.
        material: Its rows and folds.
        versions: Digests of the parts of every source it uses: `{"stage1": {"train": …}}`.
        previous: Its latest run, to compare with.
        inputs: The runs that feed it, or that its rules on rows name.
        start: The run it goes on from.
        choice: What the command line chose.
        selection: What its rules on rows came to; None where it has none.
    """

    workspace: Workspace
    experiment: Experiment
    material: Material
    versions: Mapping[str, Mapping[str, str]]
    previous: Run | None
    inputs: tuple[Input, ...] = ()
    start: Starting | None = None
    choice: Choice = field(default_factory=Choice)
    selection: Selection | None = None

    @cached_property
    def seeds(self) -> tuple[int, ...]:
        """The seeds to do."""
        seeds = self._chosen("seeds", self.experiment.manifest.seeds, self.choice.seeds)
        return seeds[:1] if self.workspace.smoke else seeds

    @cached_property
    def fits(self) -> tuple[int | None, ...]:
        """The folds to hold out; None stands for a fit on all rows."""
        manifest = self.experiment.manifest
        if manifest.fit == "full" and self.choice.folds is not None:
            problem = Problem(
                f"{self.experiment.name}.yaml", "fit: full has no folds", hint="leave --folds out"
            )
            raise ManifestError("no such fold", [problem])
        numbers = tuple(int(name) for name in self.material.folds if name != "full")
        declared = self._chosen("folds.only", numbers, manifest.folds.only)
        folds = self._chosen("folds", declared, self.choice.folds)
        folds = folds[:1] if self.workspace.smoke else folds
        # Weights found on all rows tell how much their score flatters, whoever predicts the test.
        full = (None,) if manifest.fit == "both" or self.experiment.recipe.in_sample else ()
        return (None,) if manifest.fit == "full" else (*folds, *full)

    @property
    def complete(self) -> bool:
        """Whether the choice leaves nothing of the manifest out, and the data are not a smoke subset."""
        return self.choice.folds is None and self.choice.seeds is None and not self.workspace.smoke

    def prepares(self) -> list[Planned]:
        """The `prepare` tasks: one for each part, none where the recipe does not prepare."""
        if "prepare" not in self.experiment.recipe.functions:
            return []
        return [self._plan(self._prepare(part)) for part in self._parts]

    def trains(self, prepared: Mapping[str, Stored]) -> list[Planned]:
        """The `train` tasks of every seed and fold; a frozen one is done: it is that of stage 1."""
        specs = [self._train(seed, fold, prepared) for seed in self.seeds for fold in self.fits]
        return [self._frozen(spec) if self._is_frozen(spec.fold) else self._plan(spec) for spec in specs]

    def predicts(self, train: TaskSpec, weights: Stored, prepared: Mapping[str, Stored]) -> list[Planned]:
        """The `predict` tasks that follow one finished `train` task."""
        if train.row_sets:
            return []
        return [
            self._plan(self._predict(train, weights, row_set, prepared))
            for row_set in self._row_sets(train.fold)
        ]

    def followers(self, train: TaskSpec) -> int:
        """How many `predict` tasks follow one `train` task."""
        return 0 if train.row_sets else len(self._row_sets(train.fold))

    @property
    def size(self) -> int:
        """How many tasks the whole plan has."""
        keeps = self.experiment.keeps == "predictions"
        one = [1 + (0 if keeps else len(self._row_sets(fold))) for fold in self.fits]
        prepares = len(self._parts) if "prepare" in self.experiment.recipe.functions else 0
        return prepares + len(self.seeds) * sum(one)

    def plan_key(self, done: Iterable[Stored]) -> str:
        """The key of the run that these tasks make: they, their contents, and how they are assembled."""
        tasks = sorted([stored.record.key, stored.record.content] for stored in done)
        return digest_of({"tasks": tasks, **describe_presentation(self)})

    @cached_property
    def accepted(self) -> dict[str, str]:
        """Files whose changed code is accepted, each with a digest of the code that was."""
        current = {file: self._code_in(file) for file in self.choice.accepted}
        for file in current:
            if current[file] == digest_of({}):
                problem = Problem(f"--accept code:{file}", f"{self.experiment.name} uses no code of {file}")
                raise ManifestError("nothing to accept", [problem])
        earlier = self.previous.data.get("accepted", {}) if self.previous else {}
        # What was accepted once stays accepted until that code changes again.
        kept = {file: code for file, code in earlier.items() if self._code_in(file) == code}
        return dict(sorted({**kept, **current}.items()))

    def _code_in(self, file: str) -> str:
        recipe = self.experiment.recipe
        code = recipe.code(*recipe.functions)
        return digest_of({name: digest for name, digest in code.items() if name.startswith(f"{file}:")})

    @cached_property
    def _history(self) -> History:
        return History(self.workspace, self.previous)

    def _chosen(self, what: str, known: tuple[int, ...], wanted: tuple[int, ...] | None) -> tuple[int, ...]:
        strange = [number for number in wanted or () if number not in known]
        if strange:
            listed = ", ".join(map(str, known))
            problem = Problem(f"{self.experiment.name}.yaml", f"{what}: {strange[0]}", f"some of {listed}")
            raise ManifestError(f"no such {what.rstrip('s')}", [problem])
        return tuple(number for number in known if wanted is None or number in wanted)

    def _row_sets(self, fold: int | None) -> tuple[str, ...]:
        """With `fit: both` the folds give the OOF, and the fits on all rows the test."""
        fit = self.experiment.manifest.fit
        if fold is None:
            return () if fit == "folds" else ("test",)
        return ("valid",) if fit == "both" else ("valid", "test")

    def _prepare(self, part: str) -> TaskSpec:
        known = dict(zip(self.parts, self.material.parts.values(), strict=True))
        facts = {"rows": (known | self._added)[part]}
        return self._spec("prepare", 0, None, facts, ("prepare",), part=part)

    def _train(self, seed: int, fold: int | None, prepared: Mapping[str, Stored]) -> TaskSpec:
        tables = self.material.folds["full" if fold is None else str(fold)]
        facts: dict[str, Any] = {
            "seed": seed,
            "fold": fold,
            "rows to train on": tables.train,
            "rows to validate on": tables.valid,
        }
        rows = self.selection.digest(fold) if self.selection else ""
        facts |= {"rows": rows} if rows else {}
        processes = self.experiment.processes
        facts |= {"launch": [self.experiment.manifest.launch, processes]} if processes else {}
        row_sets: tuple[str, ...] = ()
        names: tuple[str, ...] = ("train",)
        parts: tuple[str, ...] = self.parts[:1]
        if self.experiment.keeps == "predictions":
            row_sets, names, parts = self._row_sets(fold), ("train", "predict"), self.parts
            facts["test rows"] = self.material.parts["test"] if "test" in row_sets else None
            facts["save.dtype"] = self.experiment.manifest.save.dtype
        given = {part: prepared[part] for part in (*parts, *self._added) if part in prepared}
        more = {"row_sets": row_sets, "prepared": given, "processes": processes}
        if self.start is not None and not self.experiment.manifest.scratch:
            stored = self.start.of(self.experiment.name, seed, fold)
            facts["start"], more["start"] = stored.record.content, stored.folder.name
        if self.experiment.recipe.asks_score:
            making = more["making"] = self.experiment.manifest.making
            facts |= judging_facts(
                self.workspace.root, self.workspace.competition, making, self.material.targets
            )
        return self._spec("train", seed, fold, facts, names, **more)

    def _predict(
        self, train: TaskSpec, weights: Stored, row_set: str, prepared: Mapping[str, Stored]
    ) -> TaskSpec:
        valid = row_set == "valid"
        digest = self.material.folds[str(train.fold)].valid if valid else self.material.parts["test"]
        dtype = self.experiment.manifest.save.dtype
        facts = {"seed": train.seed, "fold": train.fold, "weights": weights.record.content}
        facts |= {f"{row_set} rows": digest, "save.dtype": dtype}
        part = self.parts[0 if valid else 1]
        given = {part: prepared[part]} if part in prepared else {}
        return self._spec(
            "predict",
            train.seed,
            train.fold,
            facts,
            ("load", "predict"),
            row_sets=(row_set,),
            prepared=given,
            weights=weights.folder.name,
        )

    def _spec(
        self,
        kind: Kind,
        seed: int,
        fold: int | None,
        facts: dict[str, Any],
        functions: tuple[str, ...],
        **more: Any,
    ) -> TaskSpec:
        """A task's spec: the facts all kinds share are added to its own, and digested into its key."""
        experiment = self.experiment
        manifest, recipe = experiment.manifest, experiment.recipe
        prepared: Mapping[str, Stored] = more.pop("prepared", {})
        args = {name: arguments_of(experiment, name, smoke=self.workspace.smoke) for name in functions}
        ingredients: dict[str, Any] = {"kind": kind, "threads": manifest.resources.cpus}
        ingredients |= {"determinism": manifest.determinism} | facts
        ingredients |= {f"args.{key}": value for taken in args.values() for key, value in taken.items()}
        ingredients |= {f"prepared {part}": stored.record.content for part, stored in prepared.items()}
        ingredients |= fed_to(kind, more.get("row_sets", ()), self._handed)
        ingredients |= {f"asset {name}": self.declared[asset.path] for name, asset in manifest.assets.items()}
        further = [source for source in manifest.data if source != "main"]
        ingredients |= {f"data {source}": self._files(source) for source in further}
        for source in stage_sources(manifest.stage):
            if "files" in self.versions[source]:
                name = "data files" if source == "stage1" else f"data files {source}"
                ingredients[name] = self._files(source)
        own = self._code(functions)
        ingredients |= {f"code {name}": digest for name, digest in own.items()}
        ingredients |= {f"code {file}:{WHOLE}": self.declared[file] for file in manifest.code}
        spec = TaskSpec(
            key="",
            kind=kind,
            label=label_task(kind, seed, fold, **more),
            ingredients=ingredients,
            recipe=recipe.name,
            args={name: args.get(name, {}) for name in ("prepare", "train", "load", "predict")},
            seed=seed,
            fold=fold,
            functions=tuple(name for name in functions if name in recipe.functions),
            source=digest_of(own),
            rows=self.material.key,
            fold_set=manifest.folds.set,
            prepared={part: stored.folder.name for part, stored in prepared.items()},
            sources=tuple(further),
            inputs={each.name: each.files for each in self._handed if kind != "prepare"},
            selection=self.selection.name if self.selection else "",
            assets={name: asset.path for name, asset in manifest.assets.items()},
            declared=self.declared,
            threads=manifest.resources.cpus,
            determinism=manifest.determinism,
            dtype=manifest.save.dtype,
            command=manifest.command,
            workdir=manifest.workdir,
            outputs=manifest.outputs,
            stage=manifest.stage,
            smoke=self.workspace.smoke,
            **more,
        )
        return self._keyed(spec)

    @property
    def _handed(self) -> list[Input]:
        return [each for each in self.inputs if each.is_handed]

    @property
    def _added(self) -> dict[str, str]:
        """The parts whose rows are trained on beside the folds' own."""
        return self.selection.parts if self.selection else {}

    @property
    def _parts(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self.parts, *self._added)))

    @cached_property
    def declared(self) -> dict[str, str]:
        """sha256 of what `code:` and `assets:` name, by path; read once, however many tasks there are."""
        manifest = self.experiment.manifest
        return digest_files(
            self.workspace.root, [*manifest.code, *(asset.path for asset in manifest.assets.values())]
        )

    @cached_property
    def _codes(self) -> dict[tuple[str, ...], dict[str, str]]:
        return {}

    def _code(self, functions: tuple[str, ...]) -> dict[str, str]:
        if functions not in self._codes:
            self._codes[functions] = self.experiment.recipe.code(*functions)
        return self._codes[functions]

    def _files(self, source: str) -> list[Any]:
        return files_of(self.workspace.competition, self.versions, source)

    def _keyed(self, spec: TaskSpec) -> TaskSpec:
        """The spec with its key; where code is accepted, a finished task of the older code stands for it.

        Only a finished one: what is done anew is done by the code there is, and must have its key.
        """
        ingredients = dict(spec.ingredients)
        before = self._history.ingredients(spec)
        for file in self.accepted if before and not self.choice.restart else ():
            prefix = f"code {file}:"
            ingredients = {name: value for name, value in ingredients.items() if not name.startswith(prefix)}
            ingredients |= {name: value for name, value in before.items() if name.startswith(prefix)}
        stored = find_task(self.workspace.tasks, key_of(ingredients))
        if stored is None or stored.record.undeclared:
            ingredients = spec.ingredients
        return replace(spec, ingredients=ingredients, key=key_of(ingredients))

    @property
    def parts(self) -> tuple[str, str]:
        """The parts of its stage's rows."""
        stage = f"stage{self.experiment.manifest.stage}"
        return f"{stage}/train", f"{stage}/test"

    @property
    def parents(self) -> tuple[dict[str, Any], ...]:
        """What the record says of the runs it is made from."""
        fed = tuple(each.as_parent() for each in self.inputs)
        return (*fed, self.start.as_parent()) if self.start else fed

    def _is_frozen(self, fold: int | None) -> bool:
        return self.start is not None and self.experiment.manifest.frozen.has(fold)

    def _frozen(self, spec: TaskSpec) -> Planned:
        assert self.start is not None  # noqa: S101 (only what starts from a run is frozen)
        stored = self.start.of(self.experiment.name, spec.seed, spec.fold)
        return Planned.standing(spec, stored)

    def _plan(self, spec: TaskSpec) -> Planned:
        if spec.identity in self.choice.standing:
            return Planned.standing(spec, self.choice.standing[spec.identity])
        stored = find_task(self.workspace.tasks, spec.key)
        if stored is not None and not stored.record.undeclared:
            return Planned(spec, stored)
        return Planned(spec, None, self._history.reason(spec, stored), self._history.estimate(spec))
