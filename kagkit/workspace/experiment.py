"""Read an experiment: a manifest with the recipe it names, every problem of both told at once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from kagkit.foundation.component import check_function, find_function
from kagkit.foundation.errors import ManifestError, Problem, Where, counted, did_you_mean
from kagkit.foundation.schema import read_what_fits
from kagkit.foundation.sources import REQUIRED
from kagkit.foundation.strictyaml import read_yaml
from kagkit.workspace.commands import CommandRecipe, command_problems
from kagkit.workspace.competition import (
    Competition,
    argument_problems,
    line_of,
    refuse_other_formats,
)
from kagkit.workspace.lineage import input_problems, reference_problems
from kagkit.workspace.manifest import MEMORY, Making, Manifest, Resources, SomeFolds
from kagkit.workspace.paths import path_problems
from kagkit.workspace.recipe import Recipe, recipe_problems
from kagkit.workspace.rowrules import row_problems
from kagkit.workspace.search import search_problems
from kagkit.workspace.shipped import ShippedRecipe, find_recipe, list_shipped

# It stands in names of files: submission-lb.csv.
VARIANT = re.compile(r"[A-Za-z0-9_]{1,32}")


@dataclass(frozen=True)
class Experiment:
    """A manifest with its name, its file and its recipe, all checked."""

    name: str
    path: Path
    manifest: Manifest
    recipe: Recipe | CommandRecipe

    @property
    def keeps(self) -> str:
        """`weights`, or `predictions` where the model itself is not kept."""
        return self.manifest.keep or self.recipe.keeps

    @property
    def reads(self) -> str:
        """`watched`, or `unwatched` where other processes than the task's own open files."""
        return "unwatched" if self.processes else self.recipe.reads

    @property
    def processes(self) -> int:
        """How many processes train one model together; 0 where training is not launched."""
        resources = self.manifest.resources
        return (resources.gpus or resources.cpus) if self.manifest.launch else 0


def read_experiment(root: Path, path: Path, competition: Competition) -> Experiment:
    """Read and check a manifest and the recipe it names.

    Raises:
        ManifestError: Every problem at once, each with its line.
    """
    name = path.name
    tree = read_yaml(path, name)
    refuse_other_formats(tree, name)
    manifest, problems = read_what_fits(Manifest, tree, name)
    recipe = None
    if manifest is not None:

        def where(key: str) -> str:
            return line_of(tree, key, name)

        problems += _problems(root, manifest, where, competition)
        recipe, more = _read_work(root, manifest, where, competition)
        problems += more
        problems += search_problems(root, manifest, recipe, where) if recipe is not None else []
        problems += _weight_problems(root, manifest, recipe, where) if recipe is not None else []
    if manifest is None or recipe is None or problems:
        raise ManifestError(f"{name}: {counted(len(problems), 'problem')}", problems)
    return Experiment(path.stem, path, manifest, recipe)


def _read_work(
    root: Path, manifest: Manifest, where: Where, competition: Competition
) -> tuple[Recipe | CommandRecipe | None, list[Problem]]:
    """What the manifest runs: its recipe, or its command lines."""
    if manifest.command is not None and not manifest.recipe:
        return _read_commands(root, manifest, where, competition)
    if manifest.command is not None:
        hint = "a recipe is imported, a command is run: leave one of them out"
        return None, [Problem(where("command"), "command beside recipe", "one of the two", hint)]
    if not manifest.recipe:
        hint = "add `recipe: FILE.py`, or `command: {train: …, predict: …}` for a script"
        return None, [Problem(where(""), "recipe: missing", hint=hint)]
    stray = [key for key in ("workdir", "outputs") if getattr(manifest, key)]
    problems = [Problem(where(key), f"{key} without command", hint="it is for `command:`") for key in stray]
    recipe, more = _read_recipe(root, manifest, where)
    return recipe, problems + more


def _read_commands(
    root: Path, manifest: Manifest, where: Where, competition: Competition
) -> tuple[CommandRecipe | None, list[Problem]]:
    assert manifest.command is not None  # noqa: S101 (the caller has looked)
    recipe = CommandRecipe(root, manifest.command, manifest.workdir, manifest.outputs)
    problems = list(
        path_problems(root, manifest.workdir, where("workdir"), folder=True) if manifest.workdir else ()
    )
    if manifest.workdir and (root / manifest.workdir).is_file():
        problems.append(Problem(where("workdir"), f"{manifest.workdir}: a file", "a folder"))
    problems += command_problems(recipe, manifest.args, where, files=bool(competition.stages["1"].files))
    for pattern in manifest.outputs:
        if not pattern or pattern.startswith("/") or ".." in pattern.split("/"):
            found = f"outputs: {pattern or 'an empty glob'}"
            problems.append(Problem(where("outputs"), found, "a glob below {out}", "such as *.safetensors"))
    if manifest.launch:
        hint = "write torchrun into the command line"
        problems.append(Problem(where("launch"), f"launch: {manifest.launch}, and a command", hint=hint))
    if manifest.keep == "predictions":
        hint = "leave it out: train and predict are processes of their own"
        problems.append(Problem(where("keep"), "keep: predictions, and a command", "weights", hint))
    if manifest.fit != "full" and not re.search(r"\{(train_rows|fold)\}", manifest.command.train):
        hint = "name {train_rows}, so that the rows of the fold are held out"
        problems.append(
            Problem(where("command.train"), "command.train: the same rows for every fold", hint=hint)
        )
    return recipe, problems or list(_unseen_problems(recipe, manifest, where, competition))


def _unseen_problems(
    recipe: CommandRecipe, manifest: Manifest, where: Where, competition: Competition
) -> Iterator[Problem]:
    """Files given to a command that neither its key nor the data's version has."""
    stages = [paths for stage in competition.stages.values() for paths in stage.parts.values()]
    further = [competition.data[name].files for name in manifest.data if name in competition.data]
    seen = [PurePosixPath(path) for paths in (manifest.code, *stages, *further) for path in paths]
    for key, file in recipe.unseen(manifest.args):
        if not any(PurePosixPath(file).is_relative_to(path) for path in seen):
            found = f"{key}: {file}: a change in this file would not be seen"
            yield Problem(where(key), found, hint=f"code: [{file}]")


def _read_recipe(root: Path, manifest: Manifest, where: Where) -> tuple[Recipe | None, list[Problem]]:
    place = where("recipe")
    problems = list(path_problems(root, manifest.recipe, place)) if manifest.recipe.endswith(".py") else []
    if not manifest.recipe.endswith(".py") and manifest.recipe not in list_shipped():
        hint = did_you_mean(manifest.recipe, [*(path.name for path in root.glob("*.py")), *list_shipped()])
        expected = "a .py file beside the manifest"
        problems = [Problem(place, f"recipe: {manifest.recipe}", expected, hint)]
    if problems:
        return None, problems
    try:
        recipe = find_recipe(root, manifest.recipe)
        # A local module that cannot be parsed is told before a run, not in the middle of it.
        recipe.code(*recipe.functions)
    except ManifestError as error:
        return None, [Problem(f"{place}, {p.where}", p.found, p.expected, p.hint) for p in error.problems]
    if isinstance(recipe, ShippedRecipe) and not manifest.inputs:
        hint = "inputs: {a: exp001, b: exp002}"
        problems.append(Problem(place, f"{recipe.name} without inputs", "the runs that feed it", hint))
    problems += recipe_problems(recipe, manifest.args, place, lambda argument: where(f"args.{argument}"))
    return recipe, problems + list(_keep_problems(recipe, manifest, where))


def _keep_problems(recipe: Recipe, manifest: Manifest, where: Where) -> Iterator[Problem]:
    returns = "train" in recipe.functions and recipe.keeps == "predictions"
    hint = "write the weights into task.out and return nothing"
    if returns and manifest.keep == "weights":
        yield Problem(where("keep"), "keep: weights, and train returns its model", hint=hint)
    if returns and manifest.launch:
        yield Problem(where("launch"), f"launch: {manifest.launch}, and train returns its model", hint=hint)
    if "train" in recipe.functions and manifest.keep == "predictions" and not returns:
        hint = "return the model from train"
        yield Problem(where("keep"), "keep: predictions, and train returns nothing", hint=hint)


def _problems(root: Path, manifest: Manifest, where: Where, competition: Competition) -> Iterator[Problem]:
    if not manifest.seeds:
        yield Problem(where("seeds"), "seeds: empty", hint="leave it out for seed 0")
    if len(set(manifest.seeds)) < len(manifest.seeds):
        yield Problem(where("seeds"), "seeds: one stands twice", "each once")
    if any(seed < 0 or seed >= 2**32 for seed in manifest.seeds):
        yield Problem(where("seeds"), "seeds: out of range", "0 to 4294967295")
    if manifest.folds.set != "main" and manifest.folds.set not in competition.folds:
        hint = did_you_mean(manifest.folds.set, ["main", *competition.folds])
        yield Problem(
            where("folds"), f"folds: no set named {manifest.folds.set} in competition.yaml", hint=hint
        )
    if manifest.folds.only is not None and not manifest.folds.only:
        yield Problem(where("folds"), "folds.only: empty", hint="leave it out for all folds")
    for source in manifest.data:
        if source != "main" and source not in competition.data:
            hint = did_you_mean(source, ["main", *competition.data])
            yield Problem(where("data"), f"data: {source} is not declared in competition.yaml", hint=hint)
    for asset_name, asset in manifest.assets.items():
        yield from path_problems(root, asset.path, where(f"assets.{asset_name}"))
    for file in manifest.code:
        yield from path_problems(root, file, where("code"))
    yield from input_problems(root, manifest.inputs, where)
    yield from _stage_problems(root, manifest, where, competition)
    yield from row_problems(root, manifest.rows, competition, manifest.data, where)
    yield from _extra_problems(manifest, where)
    yield from _resource_problems(manifest.resources, where("resources"))
    yield from _function_problems(root, manifest, where)


def _stage_problems(
    root: Path, manifest: Manifest, where: Where, competition: Competition
) -> Iterator[Problem]:
    if str(manifest.stage) not in competition.stages:
        hint = "declare it: stages: {2: {train: …, test: …}}"
        found = f"stage: {manifest.stage}, and competition.yaml has none"
        yield Problem(where("stage"), found, hint=hint)
    if manifest.start:
        yield from reference_problems(root, manifest.start, "start", where)
        if manifest.stage == 1:
            hint = "weights of stage 1 are taken on in stage 2; pretrained ones are assets"
            yield Problem(where("start"), "start: in stage 1", "stage: 2", hint)
    elif manifest.frozen != SomeFolds():
        hint = "name the run that has the weights, such as start: exp001/3"
        yield Problem(where("frozen"), "frozen, and no start", hint=hint)
    if manifest.scratch and manifest.frozen == SomeFolds():
        hint = "leave both out, or say which folds keep the weights of start: frozen: [0, 1]"
        yield Problem(where("scratch"), "scratch, and nothing is frozen", hint=hint)


def _extra_problems(manifest: Manifest, where: Where) -> Iterator[Problem]:
    """What in the rest of a manifest does not go with further rows."""
    extra, place = manifest.rows.extra, where("rows.extra")
    if extra and manifest.inputs:
        found = f"rows.extra beside inputs: nobody held these rows out for {', '.join(manifest.inputs)}"
        yield Problem(place, found, hint="leave one of the two out")


def _weight_problems(
    root: Path, manifest: Manifest, recipe: Recipe | CommandRecipe, where: Where
) -> Iterator[Problem]:
    """A weight of further rows that no code asks for, so that they would count like any other."""
    weights = [f"{rule.weight:g}" for rule in manifest.rows.extra if rule.weight != 1]
    asks = manifest.command is None and any(
        "row_weights" in (root / file).read_text(encoding="utf-8") for file in recipe.imports.local
    )
    if weights and not asks:
        hint = "have train use task.row_weights, or leave weight out"
        if manifest.command is not None:
            hint = "leave weight out, or write a recipe: it has task.row_weights"
        found = f"rows.extra: weight {', '.join(weights)}, which {recipe.name} does not ask for"
        yield Problem(where("rows.extra"), found, hint=hint)


def _resource_problems(resources: Resources, where: str) -> Iterator[Problem]:
    if resources.cpus < 1 or resources.gpus < 0:
        yield Problem(where, f"resources: cpus {resources.cpus}, gpus {resources.gpus}", "cpus ≥ 1, gpus ≥ 0")
    if resources.memory is not None and not MEMORY.fullmatch(resources.memory):
        yield Problem(where, f"resources.memory: {resources.memory}", "a size such as 8GiB or 512MiB")


def _function_problems(root: Path, manifest: Manifest, where: Where) -> Iterator[Problem]:
    if manifest.combine not in ("mean", "rank_mean"):
        if ":" in manifest.combine:
            yield from check_function(root, manifest.combine, where("combine"))
        else:
            yield Problem(
                where("combine"), f"combine: {manifest.combine}", "mean, rank_mean or module:function"
            )
    if manifest.submissions and manifest.submission != Making():
        hint = "move it below submissions, under a name of its own"
        yield Problem(where("submissions"), "submissions beside submission", "one of the two", hint)
    for name, making in manifest.variants.items():
        key = f"submissions.{name}" if name else "submission"
        if name and not VARIANT.fullmatch(name):
            yield Problem(where(key), f"submissions: {name}", "a short name of letters and digits")
        if making.fit_args and manifest.fit == "full":
            found = f"{key}.fit_args, and fit: full has no out-of-fold predictions"
            yield Problem(where(f"{key}.fit_args"), found, hint="fit: folds, or both")
        yield from _making_problems(root, making, key, where)


def _making_problems(root: Path, making: Making, key: str, where: Where) -> Iterator[Problem]:
    if making.make is None:
        given = [name for name in ("args", "fit_args") if getattr(making, name)]
        for name in given:
            yield Problem(where(f"{key}.{name}"), f"{key}.{name} without {key}.make")
        return
    problems = check_function(root, making.make, where(f"{key}.make"))
    yield from problems
    if not problems:
        yield from argument_problems(root, making.make, making.args, where(f"{key}.args"))
        names = dict.fromkeys(making.fit_args)
        yield from argument_problems(root, making.make, names, where(f"{key}.fit_args"))
        yield from _start_problems(root, making, key, where)


def _start_problems(root: Path, making: Making, key: str, where: Where) -> Iterator[Problem]:
    """Arguments to be found that have nothing to start from, neither here nor in the source."""
    function = find_function(root, str(making.make))
    for name in making.fit_args:
        argument = function.keywords.get(name) if function is not None else None
        # A default that is no literal is known once the function is called.
        if name not in making.args and argument is not None and argument.default is REQUIRED:
            hint = f"write where to start: {key}: {{args: {{{name}: …}}}}"
            yield Problem(where(f"{key}.fit_args"), f"{key}.fit_args: {name} has no start", hint=hint)
