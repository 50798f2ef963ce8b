"""Find a function, its keywords and the local code it needs, by reading source, never by running it."""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from traceback import extract_tb
from typing import Any

from kagkit.foundation.errors import ManifestError, Problem, did_you_mean
from kagkit.foundation.sources import Function, Source, read_import, read_source

MODULE = "(module)"  # stands for the statements of a file that run when it is imported
WHOLE = "(file)"  # stands for all of a file


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
        problem = Problem(reference, "not a function's name", "module:function")
        raise ManifestError(f"{reference}: not a function", [problem])
    return module, name


def local_file(root: Path, module: str) -> str | None:
    """The workspace file that `import module` would read, relative to `root`; None where it is installed."""
    base = module.replace(".", "/")
    for candidate in (f"{base}/__init__.py", f"{base}.py"):
        if base and (root / candidate).is_file():
            return candidate
    return None


@dataclass(frozen=True)
class _Module:
    """A module and the package its dots mean; `source` is None where it is no Python file."""

    source: Source | None
    package: str


def find_function(root: Path, reference: str) -> Function | None:
    """A function as its source declares it, where the source can be read.

    Args:
        root: The workspace.
        reference: `module:function`; a module of the workspace, or an installed one. Imports by name are
            followed to where the function is defined.

    Returns:
        The function, or None where the name is there and no `def` of it can be read: it is assigned, made
        at run time, or compiled.

    Raises:
        ManifestError: No such module or function.
    """
    place = split_reference(reference)
    module = _find_module(root, place[0])
    if module is None:
        problem = Problem(reference, "no such module here, nor installed")
        raise ManifestError(f"{reference}: no such module", [problem])
    source = module.source
    if source is not None and place[1] not in source.bindings and not source.is_open:
        public = [word for word in source.functions or source.bindings if not word.startswith("_")]
        problem = Problem(reference, "no such function", hint=did_you_mean(place[1], public))
        raise ManifestError(f"{reference}: no such function", [problem])
    return _follow(root, place, frozenset())


def _follow(root: Path, place: tuple[str, str], seen: frozenset[tuple[str, str]]) -> Function | None:
    """The function behind a (module, name), through imports by name; `seen` ends those in a circle."""
    module = _find_module(root, place[0]) if place not in seen else None
    if module is None or module.source is None:
        return None
    if place[1] in module.source.functions:
        return module.source.functions[place[1]]
    for node in module.source.bindings.get(place[1], []):
        for origin in read_import(node, module.package):
            found = _follow(root, origin, seen | {place})
            if found is not None:
                return found
    return None


def _find_module(root: Path, module: str) -> _Module | None:
    file = local_file(root, module)
    if file is not None:
        source = read_source(root, file)
        return _Module(source, source.package)
    path = _find_installed(module)
    if path is None:
        return None
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    return _Module(read_source(path.parent, path.name) if path.suffix == ".py" else None, package)


def _find_installed(module: str) -> Path | None:
    """The file of an installed module; importlib's own `find_spec` would run the packages around it."""
    top, _, inner = module.partition(".")
    try:
        spec = importlib.util.find_spec(top) if top else None
    except ValueError:  # `__main__` and its like
        spec = None
    if spec is None:
        return None
    if not inner:
        return Path(spec.origin or top)
    for folder in map(Path, spec.submodule_search_locations or ()):
        file = local_file(folder, inner)
        compiled = folder.glob(inner.replace(".", "/") + ".*")
        found = folder / file if file else next(compiled, None)
        if found is not None:
            return found
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
    return {place: _digest(nodes) for place, nodes in sorted(reach_code(root, file, names)) if nodes}


def reach_code(root: Path, file: str, names: tuple[str, ...]) -> Iterator[tuple[str, list[ast.stmt]]]:
    """The places that `code_of` digests, as `file:name` with the statements there, each once."""
    seen: set[tuple[str, str]] = set()
    todo = [(file, name) for name in names]
    while todo:
        place = todo.pop()
        if place not in seen:
            seen.add(place)
            current, name = place
            source = read_source(root, current)
            nodes = source.effects if name == MODULE else source.bindings.get(name, [])
            yield f"{current}:{name}", nodes
            todo += _needs(root, source, name, nodes)


def script_code(root: Path, file: str) -> dict[str, str]:
    """Digests of a script and the local modules it imports, each as a whole, without comments and docstrings.

    Args:
        root: The folder it imports from.
        file: The script, relative to `root`. What stands under its `if __name__ == "__main__":` counts.

    Returns:
        sha256 by `file:(file)`.

    Raises:
        ManifestError: A file is missing or not Python.
    """
    local = read_imports(root, (file,), scripts=True).local
    return {f"{name}:{WHOLE}": _digest(_without_texts(read_source(root, name).body)) for name in local}


def _without_texts(body: list[ast.stmt]) -> list[ast.stmt]:
    return [
        node for node in body if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
    ]


def _needs(root: Path, source: Source, name: str, nodes: list[ast.stmt]) -> Iterator[tuple[str, str]]:
    """The places, as (file, name), that the statements behind one name use."""
    if name != MODULE:
        yield source.file, MODULE
        if not nodes:  # bound in some way that reading does not see
            yield from ((source.file, other) for other in source.bindings)
    else:
        for node in _top_imports(source):
            for module, taken in read_import(node, source.package):
                yield from ((file, MODULE) for file in _files_run(root, module, taken))
    for child in (child for node in nodes for child in ast.walk(node)):
        if isinstance(child, ast.Name) and child.id in source.bindings:
            yield source.file, child.id
        for module, taken in read_import(child, source.package):
            yield from _taken(root, module, taken)


def _top_imports(source: Source) -> Iterator[ast.stmt]:
    statements = (node for nodes in source.bindings.values() for node in nodes)
    return (node for node in statements if isinstance(node, (ast.Import, ast.ImportFrom)))


def _files_run(root: Path, module: str, name: str) -> list[str]:
    """The workspace files that an import runs: packages from the outside in, then the module."""
    parts = [*module.split("."), name]
    files = (local_file(root, ".".join(filter(None, parts[:end]))) for end in range(1, len(parts) + 1))
    return list(dict.fromkeys(file for file in files if file))


def _taken(root: Path, module: str, name: str) -> Iterator[tuple[str, str]]:
    """The places an import takes: one name, or every name of a module, whose `module.name` says no more."""
    yield from ((file, MODULE) for file in _files_run(root, module, name))
    whole = local_file(root, module) if name == "*" else local_file(root, f"{module}.{name}".lstrip("."))
    file = local_file(root, module)
    if whole is not None:
        yield from ((whole, other) for other in read_source(root, whole).bindings)
    elif file is not None:
        yield file, name


def _digest(nodes: list[ast.stmt]) -> str:
    text = "\n".join(ast.unparse(_Bare().visit(ast.parse(ast.unparse(node)))) for node in nodes)
    return hashlib.sha256(text.encode()).hexdigest()


class _Bare(ast.NodeTransformer):
    """Drops docstrings."""

    def generic_visit(self, node: ast.AST) -> ast.AST:
        super().generic_visit(node)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) and ast.get_docstring(
            node, clean=False
        ):
            node.body = node.body[1:] or [ast.Pass()]
        return node


@dataclass(frozen=True)
class Imports:
    """What some workspace files import, directly or through each other: local files, installed modules."""

    local: tuple[str, ...]
    installed: tuple[str, ...]


def read_imports(root: Path, files: Sequence[str], *, scripts: bool = False) -> Imports:
    """Follow the imports of some workspace files by reading them.

    Args:
        root: The workspace, or another folder that is imported from.
        files: The files to start from.
        scripts: Whether they are run, not imported: then `if __name__ == "__main__":` counts too.

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
        source = read_source(root, file)
        imported = [node for nodes in source.bindings.values() for node in nodes] + source.effects
        statements = source.body if scripts else imported
        for child in (child for node in statements for child in ast.walk(node)):
            for module, name in read_import(child, source.package):
                files = _files_run(root, module, name)
                todo += files
                if not files and module:
                    installed.add(module)
    return Imports(tuple(sorted(local)), tuple(sorted(installed)))


def import_function(root: Path, reference: str) -> Callable[..., Any]:
    """Import `module:function`, the workspace's own modules first.

    Raises:
        ManifestError: The module cannot be imported, or has no such function.
    """
    module_name, name = split_reference(reference)
    if sys.path[:1] != [str(root)]:
        sys.path.insert(0, str(root))
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        problem = Problem(_own_line(root, error) or reference, f"{type(error).__name__}: {error}")
        raise ManifestError(f"{reference} cannot be imported", [problem]) from error
    function = getattr(module, name, None)
    if not callable(function):
        raise ManifestError(f"{reference}: no such function", [Problem(reference, "not a function")])
    result: Callable[..., Any] = function
    return result


def _own_line(root: Path, error: Exception) -> str:
    """The last line of the workspace's own code that an error came through; empty where there is none."""
    frames = [f for f in extract_tb(error.__traceback__) if Path(f.filename).is_relative_to(root)]
    if not frames:
        return ""
    return f"{Path(frames[-1].filename).relative_to(root).as_posix()} line {frames[-1].lineno}"


def function_code(root: Path, reference: str | None) -> dict[str, str]:
    """Digests of the workspace code behind `module:function`; none where it is installed or not given."""
    if reference is None:
        return {}
    module, name = split_reference(reference)
    file = local_file(root, module)
    return code_of(root, file, (name,)) if file else {}


def function_files(root: Path, references: Iterable[str | None]) -> list[str]:
    """The workspace files that some `module:function` references stand in, without installed ones."""
    files = (local_file(root, split_reference(reference)[0]) for reference in references if reference)
    return [file for file in files if file]


def check_function(root: Path, reference: str, where: str) -> list[Problem]:
    """What is wrong with a reference, as problems that name `where` it was written."""
    try:
        find_function(root, reference)
    except ManifestError as error:
        return [Problem(where, f"{p.where}: {p.found}", p.expected, p.hint) for p in error.problems]
    return []
