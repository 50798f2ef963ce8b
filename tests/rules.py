"""The rules of the house as functions from a package's folder to the faults found there."""

from __future__ import annotations

import ast
import graphlib
import re
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.floors import FLOORS
from tests.source_files import FUNCTION, Definition, Source, public_definitions, sources

FILE_LINES, FUNCTION_LINES = 350, 70
ROOF = max(FLOORS.values()) + 1  # where the package's own files stand: above every wing
UNSAFE_MODULES = {"pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
UNSAFE_CALLS = {"eval", "exec", "read_pickle", "to_pickle"}
DISTRIBUTIONS = {"yaml": "pyyaml", "sklearn": "scikit-learn", "PIL": "pillow", "kagglesdk": "kaggle"}
FORGOTTEN = {"kaggle": {"six"}}  # what a library imports and does not declare: we declare it in its place


@dataclass(frozen=True)
class Homes:
    """Where a library may be imported: files and folders of the package, at all or only inside functions."""

    anywhere: tuple[str, ...] = ()
    inside_functions: tuple[str, ...] = ()


_TENSORS = Homes(("training/", "recipes/"), ("foundation/seeds.py", "foundation/environment.py", "runs/"))
HOMES = {
    "click": Homes(("cli/",)),
    "rich": Homes(("cli/",)),
    "yaml": Homes(
        ("foundation/strictyaml.py", "foundation/yamltext.py", "data/listings.py", "data/versions.py")
    ),
    "mlflow": Homes(("tracking/",)),
    "kaggle": Homes(("host/door.py",)),
    "kagglesdk": Homes(("host/door.py",)),
    "requests": Homes(("host/",)),
    "starlette": Homes(("host/server.py",)),
    "uvicorn": Homes(("host/server.py",), ("tracking/server.py",)),
    "optuna": Homes((), ("runs/suggestion.py",)),
    "ray": Homes(("engine/ray_engine.py",)),
    "torch": _TENSORS,
    "lightgbm": _TENSORS,
    "PIL": Homes((), ("data/pictures.py",)),
    "imagehash": Homes((), ("data/pictures.py",)),
}


def upward_imports(package: Path) -> list[str]:
    """A wing imports only wings on lower floors, at the top of a file or inside a function."""
    files = sources(package)
    strange = {source.wing for source in files} - {*FLOORS, ""}
    faults = [f"{wing}/ stands on no floor" for wing in sorted(strange)]
    for source in files:
        for item in source.imports:
            root, wing, *_ = *item.name.split("."), ""
            if root == "":
                faults.append(source.fault(item, "imports by a relative name"))
            elif root == package.name and _stands_above(wing, source.wing):
                faults.append(source.fault(item, f"{source.wing}/ imports {wing}/, not below it"))
    return faults


def _stands_above(wing: str, reader: str) -> bool:
    """Whether a wing is as high as its reader, or higher, and not the same."""
    return wing != reader and FLOORS.get(wing, 0) >= FLOORS.get(reader, ROOF)


def circles(package: Path) -> list[str]:
    """No file of a wing imports, by way of others of that wing, itself."""
    files = {source.name: source for source in sources(package)}
    needs: dict[str, set[str]] = {name: set() for name in files}
    for name, source in files.items():
        for item in source.imports:
            target = _module_of(item.name, files)
            if target and not item.late and files[target].wing == source.wing:
                needs[name].add(target)
    try:
        graphlib.TopologicalSorter(needs).prepare()
    except graphlib.CycleError as error:
        return ["imports in a circle: " + " < ".join(error.args[1])]
    return []


def _module_of(name: str, files: dict[str, Source]) -> str | None:
    while name and name not in files:
        name = name.rpartition(".")[0]
    return name or None


def strayed_libraries(package: Path) -> list[str]:
    """A heavy library is imported in its own rooms only."""
    faults = []
    for source in sources(package):
        for item in source.imports:
            homes = HOMES.get(item.name.split(".")[0])
            if homes is None or source.place.startswith(homes.anywhere):
                continue
            if not source.place.startswith(homes.inside_functions):
                faults.append(source.fault(item, f"{item.name} is not imported here"))
            elif not item.late:
                faults.append(source.fault(item, f"{item.name} is imported inside functions only"))
    return faults


def unsafe_code(package: Path) -> list[str]:
    """Nothing reads a pickle or runs text."""
    faults = []
    for source in sources(package):
        for item in source.imports:
            if item.name.split(".")[0] in UNSAFE_MODULES:
                faults.append(source.fault(item, f"imports {item.name}"))
        for node in ast.walk(source.tree):
            if isinstance(node, ast.Call):
                faults += [source.fault(node, f"calls {name}") for name in _unsafe_names(node)]
    return faults


def _unsafe_names(call: ast.Call) -> Iterator[str]:
    name = _called(call)
    if name in UNSAFE_CALLS and not (name in ("eval", "exec") and isinstance(call.func, ast.Attribute)):
        yield name
    for keyword in call.keywords:
        if keyword.arg == "allow_pickle" and ast.unparse(keyword.value) != "False":
            yield f"{name} with allow_pickle"


def _called(call: ast.Call) -> str:
    return getattr(call.func, "id", "") or getattr(call.func, "attr", "")


def prints_below_the_cli(package: Path) -> list[str]:
    """Only the command line prints."""
    return [
        source.fault(node, "prints")
        for source in sources(package)
        if source.wing != "cli"
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]


def missing_docstrings(package: Path) -> list[str]:
    """Every file says in one sentence what it does; every public function and class has a docstring."""
    faults = []
    for source in sources(package):
        first = " ".join((ast.get_docstring(source.tree) or "").split("\n\n")[0].split())
        if not first.endswith(".") or ". " in first:
            faults.append(f"{source.place}: the docstring does not start with one sentence and an empty line")
        for node in public_definitions(source.tree):
            if not ast.get_docstring(node) and not _is_repeated(node):
                faults.append(source.fault(node, f"{node.name} has no docstring"))
    for folder in {source.path.parent for source in sources(package)}:
        if not (folder / "__init__.py").exists():
            faults.append(f"{folder.relative_to(package)}/: no __init__.py")
    return faults


def missing_annotations(package: Path) -> list[str]:
    """Every public function states the type of each argument and of what it returns."""
    faults = []
    for source in sources(package):
        for node in public_definitions(source.tree):
            if isinstance(node, ast.ClassDef):
                continue
            names = [argument.arg for argument in _arguments(node) if argument.annotation is None]
            if node.returns is None:
                names.append("return")
            faults += [source.fault(node, f"{node.name}: {name} has no type") for name in names]
    return faults


def _is_repeated(node: Definition) -> bool:
    """Whether the docstring is another's: an overload, or a property's setter."""
    return any(ast.unparse(mark).endswith(("overload", ".setter")) for mark in node.decorator_list)


def _arguments(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[ast.arg]:
    found = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    found += [argument for argument in (function.args.vararg, function.args.kwarg) if argument]
    return [argument for argument in found if argument.arg not in ("self", "cls")]


def names_of_modules(package: Path) -> list[str]:
    """No public function is named like a module: a lazily found function would turn into the module.

    Commands are verbs in both places and are imported by the command line alone, so cli/ stands apart.
    """
    files = [source for source in sources(package) if source.wing != "cli"]
    modules = {source.name.rpartition(".")[2] for source in files}
    return [
        source.fault(node, f"{node.name} is the name of a module")
        for source in files
        for node in source.tree.body
        if isinstance(node, FUNCTION) and node.name in modules
    ]


def errors_outside_the_tree(package: Path) -> list[str]:
    """Every public error derives from KagkitError; each branch has an exit code of its own."""
    classes = [
        (source, node)
        for source in sources(package)
        for node in ast.walk(source.tree)
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    ]
    tree = _error_tree([node for _, node in classes])
    faults: list[str] = []
    codes: dict[int, str] = {}
    for source, node in classes:
        if node.name not in tree and any(base.endswith(("Error", "Exception")) for base in _bases(node)):
            faults.append(source.fault(node, f"{node.name} does not derive from KagkitError"))
        if node.name == "KagkitError" or "KagkitError" in _bases(node):
            code = _exit_code(node)
            if code is None:
                faults.append(source.fault(node, f"{node.name} has no exit code of its own"))
            elif (owner := codes.setdefault(code, node.name)) != node.name:
                faults.append(source.fault(node, f"{node.name} has the exit code {code} of {owner}"))
    return faults


def _error_tree(classes: list[ast.ClassDef]) -> set[str]:
    tree = {"KagkitError"}
    while grown := {node.name for node in classes if tree & set(_bases(node))} - tree:
        tree |= grown
    return tree


def _bases(node: ast.ClassDef) -> list[str]:
    return [ast.unparse(base).rpartition(".")[2] for base in node.bases]


def _exit_code(node: ast.ClassDef) -> int | None:
    for statement in node.body:
        match statement:
            case (
                ast.Assign(targets=[ast.Name(id="exit_code")], value=ast.Constant(value=int(code)))
                | ast.AnnAssign(target=ast.Name(id="exit_code"), value=ast.Constant(value=int(code)))
            ):
                return code
    return None


def oversize(package: Path) -> list[str]:
    """A file and a function are short enough to be read in one go."""
    faults = []
    for source in sources(package):
        lines = len(source.path.read_text(encoding="utf-8").splitlines())
        if lines > FILE_LINES:
            faults.append(f"{source.place}: {lines} lines")
        for node in ast.walk(source.tree):
            if isinstance(node, FUNCTION):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                if length > FUNCTION_LINES:
                    faults.append(source.fault(node, f"{node.name} has {length} lines"))
    return faults


def undeclared_dependencies(root: Path) -> list[str]:
    """pyproject.toml declares what kagkit/ and experiments/ import, and nothing else."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    base = {_distribution(line) for line in project["dependencies"]}
    extras = {_distribution(line) for lines in project["optional-dependencies"].values() for line in lines}
    imported = _imported_distributions(root)
    needed = imported.union(*(FORGOTTEN.get(name, set()) for name in imported))
    return [
        *(f"{name} is imported and not declared" for name in sorted(imported - base - extras)),
        *(f"{name} is declared and never imported" for name in sorted(base - needed)),
    ]


def _distribution(requirement: str) -> str:
    return re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0].lower()


def _imported_distributions(root: Path) -> set[str]:
    package, recipes = sources(root / "kagkit"), sources(root / "experiments")
    names = {item.name.split(".")[0] for source in (*package, *recipes) for item in source.imports}
    local = {"kagkit", "", *(source.path.stem for source in recipes)}
    return {DISTRIBUTIONS.get(name, name) for name in names - local - set(sys.stdlib_module_names)}
