"""The files of a package as the rules of the house read them: by their syntax trees, never by importing."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

FUNCTION = (ast.FunctionDef, ast.AsyncFunctionDef)
TEMPLATES = "recipes/files/"  # recipes that are copied into workspaces: text to the package, no code of it
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


@dataclass(frozen=True)
class Import:
    """One imported name, dotted; late where it is imported inside a function or only for types."""

    name: str
    line: int
    late: bool


@dataclass(frozen=True)
class Source:
    """One file of a package: `place` is its path inside the package, `name` its dotted name."""

    path: Path
    place: str
    name: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.path.read_text(encoding="utf-8"), filename=self.place)

    @property
    def wing(self) -> str:
        return self.place.partition("/")[0] if "/" in self.place else ""

    @cached_property
    def imports(self) -> list[Import]:
        return list(_imports(self.tree, late=False))

    def fault(self, node: ast.AST | Import, text: str) -> str:
        line = node.line if isinstance(node, Import) else getattr(node, "lineno", 1)
        return f"{self.place}:{line}: {text}"


def sources(package: Path) -> list[Source]:
    """Every file of a package, sorted by place."""
    found = []
    for path in sorted(package.rglob("*.py")):
        place = path.relative_to(package)
        if place.as_posix().startswith(TEMPLATES):
            continue
        parts = place.with_suffix("").parts
        name = ".".join((package.name, *(parts[:-1] if parts[-1] == "__init__" else parts)))
        found.append(Source(path, place.as_posix(), name))
    return found


def public_definitions(scope: ast.Module | ast.ClassDef) -> Iterator[Definition]:
    """The functions, classes and methods others may use, in their order."""
    for node in scope.body:
        if isinstance(node, (*FUNCTION, ast.ClassDef)) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from public_definitions(node)


def _imports(node: ast.AST, *, late: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (Import(alias.name, child.lineno, late) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            origin = "." * child.level + (child.module or "")
            yield from (Import(f"{origin}.{alias.name}", child.lineno, late) for alias in child.names)
        else:
            if (name := _name_imported_by_call(child)) is not None:
                yield Import(name, getattr(child, "lineno", 1), late)
            yield from _imports(child, late=late or isinstance(child, FUNCTION) or _for_types(child))


def _name_imported_by_call(node: ast.AST) -> str | None:
    match node:
        case ast.Call(
            func=ast.Name(id="import_module" | "__import__") | ast.Attribute(attr="import_module"),
            args=[ast.Constant(value=str(name)), *_],
        ):
            return name
    return None


def _for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
