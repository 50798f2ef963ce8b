"""Find a function, its keywords and the local code it needs, by reading source, never by running it."""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kagkit.foundation.errors import KagkitError, ManifestError, Problem, did_you_mean
from kagkit.foundation.sources import Function, Source, read_source


def split_reference(reference: str) -> tuple[str, str]:
    """`xray:load_rows` as its module and function.

    Raises:
        ManifestError: It is not written `module:function`.

    Example:
        >>> split_reference("kagkit.metrics:accuracy")
        ('kagkit.metrics', 'accuracy')
    """
    module, colon, name = reference.partition(":")
    if not (colon and name.isidentifier() and all(part.isidentifier() for part in module.split("."))):
        raise ManifestError(f"{reference}: not a function", [Problem(reference, "", "module:function")])
    return module, name


def local_file(root: Path, module: str) -> str | None:
    """The workspace file that `import module` would read, relative to `root`; None where it is installed."""
    base = module.replace(".", "/")
    for candidate in (f"{base}.py", f"{base}/__init__.py"):
        if (root / candidate).is_file():
            return candidate
    return None


def find_function(root: Path, reference: str) -> Function | None:
    """A function as its source declares it, where the source can be read.

    Args:
        root: The workspace.
        reference: `module:function`; a module of the workspace, or an installed one.

    Returns:
        The function, or None where the module is installed and defines the name in some other way
        (imported, or in compiled code).

    Raises:
        ManifestError: No such module or function.
    """
    module, name = split_reference(reference)
    file = local_file(root, module)
    if file is None:
        return _find_installed(reference, module, name)
    source = read_source(root, file)
    if name not in source.bindings:
        hint = did_you_mean(name, list(source.functions) or list(source.bindings))
        raise ManifestError(
            f"{reference}: no such function", [Problem(file, f"{name}: not defined", hint=hint)]
        )
    return source.functions.get(name)


def _find_installed(reference: str, module: str, name: str) -> Function | None:
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError, AttributeError):
        spec = None
    if spec is None:
        raise ManifestError(
            f"{reference}: no such module",
            [Problem(reference, f"{module}: not a file of the workspace and not installed")],
        )
    if not (spec.origin and spec.origin.endswith(".py")):
        return None
    path = Path(spec.origin)
    source = read_source(path.parent, path.name)
    if name in source.functions:
        return source.functions[name]
    for node in source.bindings.get(name, []):
        if isinstance(node, ast.ImportFrom) and node.module:
            return _find_installed(f"{node.module}:{node.names[0].name}", node.module, node.names[0].name)
    if name not in source.bindings and "__getattr__" not in source.bindings:
        hint = did_you_mean(name, [word for word in source.bindings if not word.startswith("_")])
        raise ManifestError(f"{reference}: no such function", [Problem(reference, "not defined", hint=hint)])
    return None


def code_of(root: Path, file: str, names: tuple[str, ...]) -> dict[str, str]:
    """Digests of all the workspace code that some functions of a file need.

    Followed are the names each function uses, through the file's own functions, classes and constants and
    into the workspace modules it imports. Comments, docstrings and spacing do not count; statements that
    run on import do. Installed packages do not: their versions are recorded instead.

    Args:
        root: The workspace.
        file: A Python file, relative to the workspace.
        names: The functions to start from.

    Returns:
        sha256 by `file:name`; import-time statements stand under `file:(module)`.

    Raises:
        ManifestError: A file is missing or not Python.
    """
    found: dict[str, str] = {}
    todo = [(file, name) for name in names]
    while todo:
        current, name = todo.pop()
        if f"{current}:{name}" in found:
            continue
        source = read_source(root, current)
        if f"{current}:(module)" not in found and source.effects:
            found[f"{current}:(module)"] = _digest(source.effects)
            todo += [need for node in source.effects for need in _needs(root, source, node)]
        nodes = source.bindings.get(name, [])
        if nodes:
            found[f"{current}:{name}"] = _digest(nodes)
        todo += [need for node in nodes for need in _needs(root, source, node)]
    return dict(sorted(found.items()))


def _needs(root: Path, source: Source, node: ast.stmt) -> Iterator[tuple[str, str]]:
    for child in ast.walk(node):
        if isinstance(child, ast.Name) and child.id in source.bindings:
            yield source.file, child.id
        elif isinstance(child, ast.Import):
            for alias in child.names:
                yield from _whole(root, alias.name)
        elif isinstance(child, ast.ImportFrom) and child.module and not child.level:
            for alias in child.names:
                yield from _imported(root, child.module, alias.name)


def _imported(root: Path, module: str, name: str) -> Iterator[tuple[str, str]]:
    if local_file(root, f"{module}.{name}") is not None:
        yield from _whole(root, f"{module}.{name}")
    elif name == "*":
        yield from _whole(root, module)
    else:
        file = local_file(root, module)
        if file is not None:
            yield file, name


def _whole(root: Path, module: str) -> Iterator[tuple[str, str]]:
    """Every name of a local module: what is used through `module.name` cannot be told apart by reading."""
    file = local_file(root, module)
    if file is not None:
        for name in read_source(root, file).bindings or ("(module)",):
            yield file, name


def _digest(nodes: list[ast.stmt]) -> str:
    text = "\n".join(ast.unparse(_Bare().visit(ast.parse(ast.unparse(node)))) for node in nodes)
    return hashlib.sha256(text.encode()).hexdigest()


class _Bare(ast.NodeTransformer):
    """Drops docstrings."""

    def generic_visit(self, node: ast.AST) -> ast.AST:
        super().generic_visit(node)
        body = getattr(node, "body", None)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) and isinstance(body, list):
            first = body[0]
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                node.body = body[1:] or [ast.Pass()]
        return node


@dataclass(frozen=True)
class Imports:
    """What some workspace files import, directly or through each other: local files, installed modules."""

    local: tuple[str, ...]
    installed: tuple[str, ...]


def read_imports(root: Path, files: Sequence[str]) -> Imports:
    """Follow the imports of some workspace files by reading them.

    Raises:
        ManifestError: A file is missing or not Python.
    """
    installed: set[str] = set()
    local: set[str] = set()
    todo = list(files)
    while todo:
        file = todo.pop()
        if file in local:
            continue
        local.add(file)
        for module in _imported_modules(root, file):
            found = local_file(root, module)
            if found is not None:
                todo.append(found)
            else:
                installed.add(module)
    return Imports(tuple(sorted(local)), tuple(sorted(installed)))


def _imported_modules(root: Path, file: str) -> Iterator[str]:
    source = read_source(root, file)
    statements = [node for nodes in source.bindings.values() for node in nodes] + source.effects
    for node in statements:
        for child in ast.walk(node):
            if isinstance(child, ast.Import):
                yield from (alias.name for alias in child.names)
            elif isinstance(child, ast.ImportFrom) and child.module and not child.level:
                yield child.module
                yield from (
                    f"{child.module}.{alias.name}"
                    for alias in child.names
                    if local_file(root, f"{child.module}.{alias.name}")
                )


def import_function(root: Path, reference: str) -> Callable[..., Any]:
    """Import `module:function`, the workspace's own modules first.

    Raises:
        ManifestError: The module has no such function.
    """
    module_name, name = split_reference(reference)
    if sys.path[:1] != [str(root)]:
        sys.path.insert(0, str(root))
    module = importlib.import_module(module_name)
    function = getattr(module, name, None)
    if not callable(function):
        raise ManifestError(f"{reference}: no such function", [Problem(reference, "not a function")])
    result: Callable[..., Any] = function
    return result


def check_function(root: Path, reference: str, where: str) -> list[Problem]:
    """What is wrong with a reference, as problems that name `where` it was written."""
    try:
        find_function(root, reference)
    except KagkitError as error:
        found = error.problems[0] if error.problems else None
        hint = found.hint if found else ""
        return [Problem(where, error.summary, hint=hint)]
    return []
