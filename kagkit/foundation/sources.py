"""Read a Python file's functions, keywords and top-level names by parsing it, never by running it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from kagkit.foundation.errors import ManifestError, Problem

REQUIRED = object()
MAIN = "__name__ == '__main__'"


@dataclass(frozen=True)
class Argument:
    """A keyword a function takes: its name, line, annotation as written, and default where it is a literal.

    `default` is `REQUIRED` where there is none, and None where it is no literal.
    """

    name: str
    line: int
    annotation: str
    default: Any


@dataclass(frozen=True)
class Function:
    """A function as its source declares it.

    Attributes:
        file: Where it stands, relative to the workspace.
        name: Its name.
        line: The line of its `def`.
        positional: Its leading arguments without defaults, in order.
        keywords: Every other argument, by name.
        takes_any: Whether it takes `**anything`.
        returns_value: Whether some `return` gives a value.
        yields: Whether it is a generator.
    """

    file: str
    name: str
    line: int
    positional: tuple[str, ...]
    keywords: dict[str, Argument]
    takes_any: bool
    returns_value: bool
    yields: bool


@dataclass(frozen=True)
class Source:
    """A parsed file: what each top-level name is bound by, the statements that run on import, all of them."""

    file: str
    bindings: dict[str, list[ast.stmt]] = field(default_factory=dict)
    effects: list[ast.stmt] = field(default_factory=list)
    body: list[ast.stmt] = field(default_factory=list)

    @property
    def package(self) -> str:
        """The package the file stands in when it is imported from the workspace; empty at its top."""
        return self.file.rpartition("/")[0].replace("/", ".")

    @property
    def is_open(self) -> bool:
        """Whether it may have names that reading does not find: from `import *` or a `__getattr__`."""
        return "*" in self.bindings or "__getattr__" in self.bindings

    @cached_property
    def functions(self) -> dict[str, Function]:
        """The functions defined at the top of the file, by name."""
        return {
            name: _describe(self.file, node)
            for name, nodes in self.bindings.items()
            for node in nodes
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        }


@lru_cache(maxsize=256)
def _parse(text: str, file: str) -> Source:
    try:
        tree = ast.parse(text, filename=file)
    except (SyntaxError, ValueError, RecursionError) as error:
        line = getattr(error, "lineno", None) or 1
        found = f"not Python: {getattr(error, 'msg', error)}"
        raise ManifestError(f"{file} cannot be read", [Problem(f"{file} line {line}", found)]) from None
    source = Source(file, body=tree.body)
    for node in tree.body:
        _bind(source, node)
    return source


def read_source(root: Path, file: str) -> Source:
    """Parse a Python file of the workspace.

    Raises:
        ManifestError: It is missing, not UTF-8 or not Python.
    """
    try:
        text = (root / file).read_text(encoding="utf-8-sig")
    except OSError:
        raise ManifestError(f"{file}: no such file", [Problem(file, "no such file")]) from None
    except UnicodeDecodeError as error:
        problem = Problem(file, f"byte {error.start} is not UTF-8", hint="save the file as UTF-8")
        raise ManifestError(f"{file} cannot be read", [problem]) from None
    return _parse(text, file)


def read_import(node: ast.AST, package: str) -> Iterator[tuple[str, str]]:
    """What an import statement takes, as (module, name); nothing for any other statement.

    Args:
        node: A statement.
        package: The package it stands in, for the dots of `from . import x`.

    Returns:
        The name is `*` where the module itself is taken, and so all that is in it.

    Example:
        >>> list(read_import(ast.parse("import a.b").body[0], ""))
        [('a', '*'), ('a.b', '*')]
        >>> list(read_import(ast.parse("from ..x import f, g").body[0], "a.b"))
        [('a.x', 'f'), ('a.x', 'g')]
    """
    if isinstance(node, ast.Import):
        for alias in node.names:
            parts = alias.name.split(".")
            # `import a.b` binds a, and with it all of a; `import a.b as c` binds b alone.
            first = len(parts) if alias.asname else 1
            yield from ((".".join(parts[:end]), "*") for end in range(first, len(parts) + 1))
    elif isinstance(node, ast.ImportFrom):
        parts = package.split(".") if node.level and package else []
        parts = parts[: len(parts) - node.level + 1] if node.level > 1 else parts
        module = ".".join([*parts, *([node.module] if node.module else [])])
        yield from ((module, alias.name) for alias in node.names)


def _bind(source: Source, node: ast.stmt) -> None:
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        source.bindings.setdefault(node.name, []).append(node)
    elif isinstance(node, (ast.Import, ast.ImportFrom)):
        for alias in node.names:
            single = _single_import(node, alias)
            bound = alias.asname or alias.name.partition(".")[0]
            source.bindings.setdefault(bound, []).append(single)
            if bound == "*":
                source.effects.append(single)  # nobody names what it binds
    elif isinstance(node, (ast.Assign, ast.AnnAssign, ast.AugAssign)):
        stored = list(_stored(node))
        for target in stored:
            if isinstance(target, ast.Name):
                source.bindings.setdefault(target.id, []).append(node)
        if not all(isinstance(target, ast.Name) and target.id != "_" for target in stored):
            source.effects.append(node)  # `cudnn.benchmark = True`, `_ = torch.manual_seed(0)`
    elif not _is_idle(node):
        source.effects.append(node)
        for child in _inner_statements(node):
            _bind(source, child)


def _inner_statements(node: ast.AST) -> Iterator[ast.stmt]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.stmt):
            yield child
        elif isinstance(child, (ast.ExceptHandler, ast.match_case)):
            yield from child.body


def _single_import(node: ast.Import | ast.ImportFrom, alias: ast.alias) -> ast.stmt:
    if isinstance(node, ast.Import):
        return ast.copy_location(ast.Import(names=[alias]), node)
    return ast.copy_location(ast.ImportFrom(module=node.module, names=[alias], level=node.level), node)


def _stored(node: ast.Assign | ast.AnnAssign | ast.AugAssign) -> Iterator[ast.expr]:
    """The names, attributes and items that an assignment changes."""
    for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
        for child in ast.walk(target):
            if isinstance(child, (ast.Name, ast.Attribute, ast.Subscript)) and isinstance(
                child.ctx, ast.Store
            ):
                yield child


def _is_idle(node: ast.stmt) -> bool:
    """Docstrings and the `if __name__ == "__main__"` block do nothing when a recipe is imported."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return True
    return isinstance(node, ast.If) and not node.orelse and ast.unparse(node.test) == MAIN


def _describe(file: str, node: ast.FunctionDef | ast.AsyncFunctionDef) -> Function:
    arguments = node.args
    ordinary = arguments.posonlyargs + arguments.args
    first_default = len(ordinary) - len(arguments.defaults)
    keywords = {
        argument.arg: _argument(argument, default)
        for argument, default in zip(ordinary[first_default:], arguments.defaults, strict=True)
    }
    for argument, keyword_default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        keywords[argument.arg] = _argument(argument, keyword_default)
    own = list(_own_nodes(node))
    return Function(
        file=file,
        name=node.name,
        line=node.lineno,
        positional=tuple(argument.arg for argument in ordinary[:first_default]),
        keywords=keywords,
        takes_any=arguments.kwarg is not None,
        returns_value=any(
            isinstance(n, ast.Return) and n.value is not None and not _is_none(n.value) for n in own
        ),
        yields=any(isinstance(n, (ast.Yield, ast.YieldFrom)) for n in own),
    )


def _own_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """Everything inside a function, without what belongs to functions and classes defined inside it."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)):
            yield child
            yield from _own_nodes(child)


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _argument(argument: ast.arg, default: ast.expr | None) -> Argument:
    if default is None:
        value: Any = REQUIRED
    else:
        try:
            value = ast.literal_eval(default)
        except (ValueError, TypeError):
            value = None
    annotation = ast.unparse(argument.annotation) if argument.annotation else ""
    return Argument(argument.arg, argument.lineno, annotation, value)
