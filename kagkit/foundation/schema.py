"""Turn a YAML tree into frozen dataclasses, and tell every problem at once.

A dataclass field is a key: its type says what may stand there, its default what stands there when nothing
does. A class may offer `shorthand(node) -> Node | None`, which turns a short form (`folds: main`) into the
full one.
"""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from kagkit.foundation.errors import ManifestError, Problem, did_you_mean
from kagkit.foundation.strictyaml import Node

T = TypeVar("T")

NAMES = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}


@dataclass(frozen=True)
class _Reader:
    name: str
    problems: list[Problem]

    def refuse(self, node: Node, found: str, expected: str = "", hint: str = "") -> None:
        self.problems.append(Problem(f"{self.name} line {node.line}", found, expected, hint))


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
    reader = _Reader(name, [])
    value = _read(reader, cls, tree, "")
    if reader.problems:
        count = len(reader.problems)
        raise ManifestError(f"{name}: {count} problem{'s' if count > 1 else ''}", reader.problems)
    result: T = value
    return result


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
        keys = ", ".join(field.name for field in dataclasses.fields(cls))
        reader.refuse(node, f"{path or 'the file'}: {_found(node)}", f"a mapping with keys such as {keys}")
        return None
    fields = {field.name: field for field in dataclasses.fields(cls)}
    hints = get_type_hints(cls)
    before = len(reader.problems)
    for key, child in node.value.items():
        if key not in fields:
            reader.refuse(child, f"{_join(path, key)}: no such key", hint=did_you_mean(key, list(fields)))
    given = {
        key: _read(reader, hints[key], child, _join(path, key))
        for key, child in node.value.items()
        if key in fields
    }
    for key, field in fields.items():
        required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if required and key not in given:
            reader.refuse(node, f"{_join(path, key)}: missing", hint=f"add `{key}: …`")
    return cls(**given) if len(reader.problems) == before else None


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
    return None


def _read_choice(reader: _Reader, choices: tuple[Any, ...], node: Node, path: str) -> Any:
    value = node.raw if node.raw in choices else node.value
    if isinstance(value, (list, dict)) or value not in choices:
        hint = did_you_mean(str(node.raw), [str(choice) for choice in choices])
        reader.refuse(node, f"{path}: {_found(node)}", "one of " + ", ".join(map(str, choices)), hint)
    return value


def _read_tuple(reader: _Reader, item: Any, node: Node, path: str) -> Any:
    if not isinstance(node.value, list):
        reader.refuse(node, f"{path}: {_found(node)}", f"a list: [{node.raw or '…'}]")
        return ()
    return tuple(_read(reader, item, child, f"{path}[{i}]") for i, child in enumerate(node.value))


def _read_dict(reader: _Reader, item: Any, node: Node, path: str) -> Any:
    if not isinstance(node.value, dict):
        reader.refuse(node, f"{path}: {_found(node)}", "a mapping: {name: …}")
        return {}
    return {key: _read(reader, item, child, _join(path, key)) for key, child in node.value.items()}


def _read_scalar(reader: _Reader, kind: Any, node: Node, path: str) -> Any:
    if kind is str and node.raw is not None and node.value is not None:
        return node.raw
    if kind is float and isinstance(node.value, int) and not isinstance(node.value, bool):
        return float(node.value)
    if type(node.value) is not kind:
        reader.refuse(node, f"{path}: {_found(node)}", NAMES[kind])
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
