"""Run a recipe's file as a module with every generator seeded, or take a script's command lines for it."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

from kagkit.foundation.errors import RunError
from kagkit.runs.exactness import prepare_numerics
from kagkit.runs.scripts import Script
from kagkit.runs.spec import TaskSpec
from kagkit.workspace.commands import CommandRecipe
from kagkit.workspace.recipe import Recipe
from kagkit.workspace.shipped import ShippedRecipe

Source = Recipe | CommandRecipe


def open_recipe(source: Source, spec: TaskSpec) -> Any:
    """What has the recipe's functions: its module, freshly run, or a script's two commands."""
    return Script(source, spec.label) if isinstance(source, CommandRecipe) else _import_recipe(source, spec)


def _import_recipe(source: Recipe, task: TaskSpec) -> ModuleType:
    """Run the recipe's file as a module, and seed what it uses: for what it draws now, and for the task."""
    for module in source.imports.installed:  # those it imports in its functions, too
        with suppress(Exception):
            importlib.import_module(module)
    prepare_numerics(task.seed, task.threads, task.determinism)
    shipped = isinstance(source, ShippedRecipe)
    recipe = importlib.import_module(source.name) if shipped else _run_file(source.root, source.file)
    prepare_numerics(task.seed, task.threads, task.determinism)
    return recipe


def _run_file(root: Path, file: str) -> ModuleType:
    """Run a file as a module; the workspace's own modules come before installed ones."""
    sys.dont_write_bytecode = True
    if sys.path[:1] != [str(root)]:
        sys.path.insert(0, str(root))
    name = Path(file).stem
    spec = importlib.util.spec_from_file_location(name, root / file)
    if spec is None or spec.loader is None:
        raise RunError(f"{file} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
