"""Find a recipe by what a manifest calls it: a file of the workspace, or a module that comes with kagkit."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import kagkit
from kagkit.foundation.component import Imports
from kagkit.foundation.sources import read_import, read_source
from kagkit.workspace.recipe import Recipe, read_recipe

PACKAGE = "kagkit.recipes"
HOME = Path(kagkit.__file__).resolve().parent.parent
VERSION = "VERSION"
IN_SAMPLE = "IN_SAMPLE"


@dataclass(frozen=True)
class ShippedRecipe(Recipe):
    """A recipe that comes with kagkit: a module with a `VERSION`, which stands for its code in keys.

    Attributes:
        module: What manifests call it: `kagkit.recipes.blend`.
    """

    module: str = ""

    @property
    def name(self) -> str:
        """What manifests and tasks call it."""
        return self.module

    @property
    def in_sample(self) -> str:
        """The file in which its fit on all rows tells its own score; empty where it tells none."""
        return str(self._constant(IN_SAMPLE) or "")

    @cached_property
    def imports(self) -> Imports:
        """No file of the workspace; of what is installed, what the module itself imports."""
        tree = read_source(self.root, self.file)
        taken = (read_import(node, "") for part in tree.body for node in ast.walk(part))
        names = {module for each in taken for module, _ in each}
        return Imports((), tuple(sorted(names - {"__future__"})))

    def code(self, *names: str) -> dict[str, str]:
        """Its version alone: what it imports of kagkit changes with every release, what it finds does not."""
        wanted = [name for name in names if name in self.functions]
        return {f"{self.module}:{VERSION}": str(self._constant(VERSION))} if wanted else {}

    def _statements(self) -> Iterator[ast.stmt]:
        yield from read_source(self.root, self.file).body

    def _constant(self, name: str) -> Any:
        for node in read_source(self.root, self.file).bindings.get(name, []):
            if isinstance(node, ast.Assign):
                return ast.literal_eval(node.value)
        return None


def find_recipe(root: Path, name: str) -> Recipe:
    """A recipe, read from its source.

    Args:
        root: The workspace.
        name: `unet.py`, a file of the workspace, or one of `list_shipped()`.

    Raises:
        ManifestError: It is missing or not Python.

    Example:
        >>> sorted(find_recipe(Path(), "kagkit.recipes.blend").functions)
        ['predict', 'train']
    """
    if name.endswith(".py"):
        return read_recipe(root, name)
    file = f"{name.replace('.', '/')}.py"
    return ShippedRecipe(HOME, file, read_recipe(HOME, file).functions, name)


def list_shipped() -> list[str]:
    """The modules that manifests may name, those with a `VERSION`."""
    folder = HOME / PACKAGE.replace(".", "/")
    files = [path for path in sorted(folder.glob("*.py")) if path.name != "__init__.py"]
    versioned = [path.stem for path in files if VERSION in read_source(folder, path.name).bindings]
    return [f"{PACKAGE}.{stem}" for stem in versioned]
