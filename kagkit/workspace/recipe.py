"""Read what a recipe's source declares: its functions, and which argument belongs to which of them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar, Literal

from kagkit.foundation.component import Imports, code_of, local_file, reach_code, read_imports
from kagkit.foundation.errors import Problem, did_you_mean
from kagkit.foundation.files import canonical_json
from kagkit.foundation.sources import REQUIRED, Argument, Function, read_import, read_source

SHAPES = {
    "prepare": ("task", "rows"),
    "train": ("task",),
    "load": ("task",),
    "predict": ("task", "model", "rows"),
}
SCORING = ("score", "judge")
TYPES = {"int": (int,), "float": (int, float), "str": (str,), "bool": (bool,)}
TYPE_WORDS = {"int": "a whole number", "float": "a number", "str": "text", "bool": "true or false"}


@dataclass(frozen=True)
class Recipe:
    """A recipe file and its functions `prepare`, `train`, `load`, `predict`, those that are there."""

    root: Path
    file: str
    functions: dict[str, Function]

    reads: ClassVar[str] = "watched"

    @property
    def name(self) -> str:
        """What manifests and tasks call it."""
        return self.file

    @property
    def in_sample(self) -> str:
        """The file in which its fit on all rows tells its own score: none where nothing promises one."""
        return ""

    @cached_property
    def imports(self) -> Imports:
        """The recipe with the local modules it imports, and the installed ones."""
        return read_imports(self.root, (self.file,))

    @property
    def keeps(self) -> Literal["weights", "predictions"]:
        """What `train` leaves: files in `task.out`; or a model it returns, whose predictions stay."""
        return "predictions" if self.functions["train"].returns_value else "weights"

    @cached_property
    def asks_score(self) -> bool:
        """Whether the code behind `train` reads `task.score` or `task.judge`, so that the metric decides."""
        return any(
            isinstance(node, ast.Attribute)
            and node.attr in SCORING
            and isinstance(node.value, ast.Name)
            and node.value.id == "task"
            for statement in self._statements()
            for node in ast.walk(statement)
        )

    def _statements(self) -> Iterator[ast.stmt]:
        """What `train` runs of the workspace."""
        for _, nodes in reach_code(self.root, self.file, ("train",)):
            yield from nodes

    def arguments(self, name: str, args: dict[str, Any]) -> dict[str, Any]:
        """Those of the manifest's arguments that one function takes; none where the recipe lacks it."""
        function = self.functions.get(name)
        if function is None:
            return {}
        return {key: value for key, value in args.items() if key in function.keywords or function.takes_any}

    def code(self, *names: str) -> dict[str, str]:
        """Digests of the workspace code that some of its functions need, by `file:name`."""
        return code_of(self.root, self.file, tuple(name for name in names if name in self.functions))


def read_recipe(root: Path, file: str) -> Recipe:
    """Parse a recipe.

    Raises:
        ManifestError: It is missing or not Python.
    """
    functions = read_source(root, file).functions
    return Recipe(root, file, {name: functions[name] for name in SHAPES if name in functions})


def recipe_problems(recipe: Recipe, args: dict[str, Any], where: str, args_where: Any) -> Iterator[Problem]:
    """Everything wrong between a recipe and a manifest's arguments.

    Args:
        recipe: The recipe.
        args: The manifest's `args`.
        where: The place of the manifest's `recipe` line.
        args_where: Gives the place of one argument by its name.
    """
    for name in ("train", "predict"):
        if name not in recipe.functions:
            head = f"def {name}({', '.join(SHAPES[name])}): …"
            yield Problem(where, f"{recipe.name}: no function {name}", hint=f"write `{head}`")
    yield from _name_problems(recipe)
    for name, function in recipe.functions.items():
        yield from _shape_problems(name, function)
    if "train" in recipe.functions and recipe.keeps == "predictions" and "load" in recipe.functions:
        yield Problem(
            f"{recipe.file} line {recipe.functions['train'].line}",
            "train returns a model and there is a load",
            hint="either write files into task.out and load them, or return the model and drop load",
        )
    for name, value in args.items():
        yield from value_problems(recipe, name, value, args_where(name))


def _name_problems(recipe: Recipe) -> Iterator[Problem]:
    """An import that finds the recipe itself: the workspace's files come before installed packages."""
    source = read_source(recipe.root, recipe.file)
    statements = [*source.effects, *chain.from_iterable(source.bindings.values())]
    for node in (node for statement in statements for node in ast.walk(statement)):
        modules = {module.partition(".")[0] for module, _ in read_import(node, source.package)}
        for module in sorted(modules):
            if local_file(recipe.root, module) == recipe.file:
                where = f"{recipe.file} line {getattr(node, 'lineno', 1)}"
                hint = f"rename the file: {module}_recipe.py"
                yield Problem(where, f"import {module} finds this file, not a package {module}", hint=hint)
                return


def _shape_problems(name: str, function: Function) -> Iterator[Problem]:
    where = f"{function.file} line {function.line}"
    expected = SHAPES[name]
    if len(function.positional) != len(expected):
        found = f"{name}({', '.join(function.positional)})"
        yield Problem(where, found, f"{name}({', '.join(expected)}, *, option=default)")
    for argument in function.keywords.values():
        if argument.default is REQUIRED:
            yield Problem(
                f"{function.file} line {argument.line}",
                f"{name}: {argument.name} has no default",
                hint="give it one: a manifest that leaves it out must mean something",
            )


def value_problems(recipe: Recipe, name: str, value: Any, where: str) -> Iterator[Problem]:
    """Where no function of a recipe takes an argument, or one declares another type for it."""
    takers = [f for f in recipe.functions.values() if name in f.keywords]
    if not takers and not any(f.takes_any for f in recipe.functions.values()):
        known = sorted({key for f in recipe.functions.values() for key in f.keywords})
        hint = did_you_mean(name, known) if known else f"{recipe.name} takes no arguments"
        yield Problem(where, f"args.{name}: no function of {recipe.name} takes it", hint=hint)
    for function in takers:
        argument = function.keywords[name]
        kind = declared_type(argument)
        if kind and not _fits(value, kind):
            declared = f"{name}: {argument.annotation}" if argument.annotation else name
            yield Problem(
                where,
                f"args.{name}: found {canonical_json(value)}",
                TYPE_WORDS[kind],
                f"{function.file} line {argument.line}: {function.name} declares {declared}"
                f" = {argument.default!r}",
            )
            return


def declared_type(argument: Argument) -> str | None:
    """The simple type an argument is annotated with, or else shows by its default."""
    if argument.annotation:
        return argument.annotation if argument.annotation in TYPES else None
    kind = type(argument.default).__name__
    return kind if kind in TYPES and argument.default is not None else None


def _fits(value: Any, kind: str) -> bool:
    if isinstance(value, bool) and kind != "bool":
        return False
    return isinstance(value, TYPES[kind])
