"""Turn a YAML tree into frozen dataclasses, and tell every problem at once.

A dataclass field is a key: its type says what may stand there, its default what stands there when nothing
does. Python keeps some words for itself: `field(metadata={KEY: "from"})` is the key `from`. A class may offer
`shorthand(node) -> Node | None`, which turns a short form (`folds: main`) into the full one.
"""

from __future__ import annotations

import dataclasses
import functools
import types
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from kagkit.foundation.errors import ManifestError, Problem, counted, did_you_mean, nearest
from kagkit.foundation.strictyaml import Node

T = TypeVar("T")

KEY = "key"
UNFIT = object()  # stands for a value that was refused
NAMES = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}


@dataclass(frozen=True)
class _Reader:
    name: str
    problems: list[Problem]

    def refuse(self, node: Node, found: str, expected: str = "", hint: str = "") -> Any:
        self.problems.append(Problem(f"{self.name} line {node.line}", found, expected, hint))
        return UNFIT


def read_tree(cls: type[T], tree: Node, name: str) -> T:
    """Build a dataclass from a YAML tree.

    Args:
        cls: A frozen dataclass; nested dataclasses, `X | None`, `Literal`, `tuple[X, ...]`, `dict[str, X]`
            and `Any` are understood. A text field takes numbers as they are spelled.
        tree: What `read_yaml` returned.
        name: How messages call the file.

    Raises:
        ManifestError: Unknown keys, missing keys, wrong types: all at once, each with its line.

    Example:
        >>> from kagkit.foundation.strictyaml import parse_yaml
        >>> @dataclass(frozen=True)
        ... class Resources:
        ...     cpus: int = 1
        >>> read_tree(Resources, parse_yaml("cpus: 4", "exp.yaml"), "exp.yaml")
        Resources(cpus=4)
    """
    value, problems = read_what_fits(cls, tree, name)
    if value is None or problems:
        raise ManifestError(f"{name}: {counted(len(problems), 'problem')}", problems)
    return value


def read_what_fits(cls: type[T], tree: Node, name: str) -> tuple[T | None, list[Problem]]:
    """Build a dataclass from a YAML tree as far as it can be read, so that what fits is checked further.

    Returns:
        The dataclass, with defaults where something was refused, or None where what was refused has none;
        and the problems.
    """
    reader = _Reader(name, [])
    value = _read(reader, cls, tree, "")
    return (None if value is UNFIT else value), reader.problems


def _read(reader: _Reader, kind: Any, node: Node, path: str) -> Any:
    origin = get_origin(kind)
    if kind is Any:
        return node.plain
    if dataclasses.is_dataclass(kind):
        return _read_class(reader, kind, node, path)
    if origin in (Union, types.UnionType):
        return _read_union(reader, kind, node, path)
    if origin is Literal:
        return _read_choice(reader, get_args(kind), node, path)
    if origin is tuple:
        return _read_tuple(reader, get_args(kind)[0], node, path)
    if origin is dict:
        return _read_dict(reader, get_args(kind)[1], node, path)
    return _read_scalar(reader, kind, node, path)


def _read_class(reader: _Reader, cls: Any, node: Node, path: str) -> Any:
    shorthand: Callable[[Node], Node | None] | None = getattr(cls, "shorthand", None)
    node = (shorthand(node) if shorthand else None) or node
    if not isinstance(node.value, dict):
        keys = ", ".join(key_of(field) for field in dataclasses.fields(cls))
        expected = f"a mapping with keys such as {keys}"
        return reader.refuse(node, f"{path or 'the file'}: {_found(node)}", expected)
    fields = {key_of(field): field for field in dataclasses.fields(cls)}
    hints = _hints_of(cls)
    given = {}
    for key, child in node.value.items():
        if key in fields:
            given[key] = _read(reader, hints[fields[key].name], child, _join(path, key))
        else:
            reader.refuse(child, f"{_join(path, key)}: no such key", hint=did_you_mean(key, list(fields)))
    required = [key for key, field in fields.items() if _is_required(field)]
    for key in required:
        if key not in given:
            reader.refuse(node, f"{_join(path, key)}: missing", hint=f"add `{key}: …`")
    fit = {key: value for key, value in given.items() if value is not UNFIT}
    # Inside the file a part with a refused value is refused whole: its keys belong together.
    if any(key not in fit for key in required) or (path and len(fit) < len(given)):
        return UNFIT
    return cls(**{fields[key].name: value for key, value in fit.items()})


@functools.cache
def _hints_of(cls: Any) -> dict[str, Any]:
    return get_type_hints(cls)


def key_of(field: dataclasses.Field[Any]) -> str:
    """The key that a field of a dataclass is read from.

    Example:
        >>> @dataclass(frozen=True)
        ... class Extra:
        ...     origin: str = dataclasses.field(metadata={KEY: "from"})
        >>> [key_of(field) for field in dataclasses.fields(Extra)]
        ['from']
    """
    return str(field.metadata.get(KEY, field.name))


def _is_required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _read_union(reader: _Reader, kind: Any, node: Node, path: str) -> Any:
    options = [option for option in get_args(kind) if option is not type(None)]
    if node.value is None and type(None) in get_args(kind):
        return None
    for option in options:
        # int | float and the like: the first that fits. Only the last one's problem is told.
        attempt = _Reader(reader.name, [])
        value = _read(attempt, option, node, path)
        if not attempt.problems:
            return value
    reader.problems.extend(attempt.problems)
    return UNFIT


def _read_choice(reader: _Reader, choices: tuple[Any, ...], node: Node, path: str) -> Any:
    value = node.raw if node.raw in choices else node.value
    if isinstance(value, (list, dict)) or value not in choices:
        words = [str(choice) for choice in choices]
        near = nearest(str(node.raw), words)
        hint = f"did you mean {near}?" if near else ""
        return reader.refuse(node, f"{path}: {_found(node)}", "one of " + ", ".join(words), hint)
    return value


def _read_tuple(reader: _Reader, item: Any, node: Node, path: str) -> Any:
    if not isinstance(node.value, list):
        return reader.refuse(node, f"{path}: {_found(node)}", f"a list: [{node.raw or '…'}]")
    values = [_read(reader, item, child, f"{path}[{i}]") for i, child in enumerate(node.value)]
    return UNFIT if UNFIT in values else tuple(values)


def _read_dict(reader: _Reader, item: Any, node: Node, path: str) -> Any:
    if not isinstance(node.value, dict):
        return reader.refuse(node, f"{path}: {_found(node)}", "a mapping: {name: …}")
    values = {key: _read(reader, item, child, _join(path, key)) for key, child in node.value.items()}
    return UNFIT if UNFIT in values.values() else values


def _read_scalar(reader: _Reader, kind: Any, node: Node, path: str) -> Any:
    if kind is str and node.raw is not None and node.value is not None:
        return node.raw
    if kind is float and isinstance(node.value, int) and not isinstance(node.value, bool):
        return float(node.value)
    if type(node.value) is not kind:
        return reader.refuse(node, f"{path}: {_found(node)}", NAMES[kind])
    return node.value


def _found(node: Node) -> str:
    if isinstance(node.value, dict):
        return "found a mapping"
    if isinstance(node.value, list):
        return "found a list"
    if node.value is None:
        return "nothing given"
    return f'found "{node.raw}"' if isinstance(node.value, str) else f"found {node.raw}"


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key
