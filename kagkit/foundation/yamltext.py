"""Change one value in YAML text as an editor would: every comment and line around it stays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kagkit.foundation.errors import ManifestError, Problem
from kagkit.foundation.strictyaml import Node, parse_yaml


def set_value(text: str, key: str, spelled: str, name: str) -> str:
    r"""Give a key another value, or add it where it is not there.

    Args:
        text: YAML whose top is a mapping, as `parse_yaml` reads it.
        key: The key, the ones it is inside of before it: `args.lr`.
        spelled: The value as it is written in YAML on one line: `0.03`, `[0, 1]`, `{set: main, only: [0]}`.
            What is no YAML, or would be cut at a `#`, is text.
        name: How messages call the file.

    Returns:
        The text that reads as before but for this value.

    Raises:
        ManifestError: The text is not YAML, the key lies inside a value that is no mapping, or the value
            cannot be written on one line.

    Example:
        >>> print(set_value("seeds: [0]  # one\nargs: {lr: 1e-3}\n", "args.lr", "3e-2", "exp.yaml"), end="")
        seeds: [0]  # one
        args: {lr: 3e-2}
        >>> print(set_value("recipe: unet.py\n", "args.width", "8", "exp.yaml"), end="")
        recipe: unet.py
        args: {width: 8}
    """
    path = key.split(".")
    tree = parse_yaml(text, name)
    value = _value_of(spelled)
    wanted = _with(tree.plain, path, value, key, name)
    spellings = [spelled.strip()]
    if isinstance(value, str):
        spellings.append("'" + value.replace("'", "''") + "'")
    for spelling in spellings:
        changed = _edited(text, path, spelling)
        if _reads_as(changed, wanted):
            return changed
    problem = Problem(f"{name}: {key}", f"cannot be set to {spelled}", hint="edit the file by hand")
    raise ManifestError(f"{name} is not changed", [problem])


def _value_of(spelled: str) -> Any:
    """What a spelling means; text where it is no YAML, or YAML would end it at a comment."""
    try:
        node: Node = parse_yaml(f"value: {spelled}", "value").value["value"]
    except ManifestError:
        return spelled
    cut = node.raw is not None and isinstance(node.value, str) and " #" in spelled and spelled[0] not in "'\""
    return spelled if cut else node.plain


def _with(plain: dict[str, Any], path: Sequence[str], value: Any, key: str, name: str) -> dict[str, Any]:
    first, *rest = path
    if not rest:
        return plain | {first: value}
    inner = plain.get(first)
    if inner is not None and not isinstance(inner, dict):
        found = f"{first}: {inner}, and {key} asks for a mapping"
        hint = f"write it whole: {first}={{{rest[0]}: …}}"
        raise ManifestError(f"{name} is not changed", [Problem(f"{name}: {first}", found, hint=hint)])
    return plain | {first: _with(inner or {}, rest, value, key, name)}


def _reads_as(text: str, wanted: dict[str, Any]) -> bool:
    try:
        return bool(parse_yaml(text, "text").plain == wanted)
    except ManifestError:
        return False


def _edited(text: str, path: Sequence[str], spelling: str) -> str:
    """The text with the value in its place, or with a line more; whether it reads so is for the caller."""
    import yaml

    # The loader written in Python counts characters; libyaml's counts bytes at times.
    node: Any = yaml.compose(text, Loader=yaml.SafeLoader)
    for place, name in enumerate(path):
        entry = next((pair for pair in node.value if pair[0].value == name), None)
        if entry is None:
            return _with_entry(text, node, f"{name}: {_nested(path[place + 1 :], spelling)}")
        key, node = entry
        if place == len(path) - 1 or node.id != "mapping":
            start = text.index(":", key.end_mark.index) + 1
            rest = text[max(start, _end(text, node)) :]
            return f"{text[:start]} {_nested(path[place + 1 :], spelling)}{rest}"
    return text


def _nested(path: Sequence[str], spelling: str) -> str:
    return f"{{{path[0]}: {_nested(path[1:], spelling)}}}" if path else spelling


def _with_entry(text: str, mapping: Any, entry: str) -> str:
    """The text with an entry after the last one of a mapping."""
    if not mapping.value:
        start = mapping.start_mark.index + 1
        return f"{text[:start]}{entry}{text[start:]}"
    end = _end(text, mapping.value[-1][1])
    if mapping.flow_style:
        return f"{text[:end]}, {entry}{text[end:]}"
    end = (text + "\n").index("\n", end)
    return f"{text[:end]}\n{' ' * mapping.value[0][0].start_mark.column}{entry}{text[end:]}"


def _end(text: str, node: Any) -> int:
    """Where a value ends; what is written in lines ends with its last one, before the comments below it."""
    if node.id != "scalar" and node.value and not node.flow_style:
        last = node.value[-1]
        return _end(text, last[1] if node.id == "mapping" else last)
    end: int = node.end_mark.index
    return len(text[:end].rstrip()) if node.id == "scalar" and node.style in ("|", ">") else end
