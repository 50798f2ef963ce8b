"""Read YAML as people write it, with the line of every key, and refuse what is ambiguous.

Numbers are read as people write them (`1e-3` is a number), only `true` and `false` are booleans (`no` is
text), ids keep their leading zeros and dates stay text. Each scalar keeps its raw spelling, so that a text
field reads `1.10` as written. Duplicate keys, tags and aliases are refused and explained.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from kagkit.foundation.errors import ManifestError, Problem, counted

# A leading zero makes text of a number: `007` is an id. So do more digits than any number has.
WHOLE = "(?:0|[1-9][0-9]{0,99})"
INTEGER = re.compile(rf"[-+]?{WHOLE}")
DECIMAL = re.compile(rf"[-+]?(?:{WHOLE}\.?|{WHOLE}?\.[0-9]+)(?:[eE][-+]?[0-9]{{1,3}})?")
WORDS = {"true": True, "True": True, "false": False, "False": False, "null": None, "~": None, "": None}
CORE_TAG = "tag:yaml.org,2002:"
DEEPEST = 50


@dataclass(frozen=True)
class Node:
    """A value in a YAML file and the line it stands on.

    Attributes:
        value: Text, a number, a boolean, None, a list of nodes, or a dict from key to node.
        line: The line of the value's key (or of the value itself, in lists), from 1.
        raw: The spelling of a scalar in the file; None for lists and mappings.
    """

    value: Any
    line: int
    raw: str | None = None

    @property
    def plain(self) -> Any:
        """The value as ordinary dicts, lists and scalars."""
        if isinstance(self.value, dict):
            return {key: node.plain for key, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain for node in self.value]
        return self.value


def read_yaml(path: Path, name: str) -> Node:
    """Read a file; `name` is how messages call it.

    Raises:
        ManifestError: It is missing, not UTF-8, not YAML, or says something ambiguous: all problems at once.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ManifestError(f"{name}: no such file") from None
    except IsADirectoryError:
        raise ManifestError(f"{name} is a folder, not a file") from None
    except OSError as error:
        raise ManifestError(f"{name} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        problem = Problem(name, f"byte {error.start} is not UTF-8", hint="save the file as UTF-8")
        raise ManifestError(f"{name} cannot be read", [problem]) from None
    return parse_yaml(text, name)


def parse_yaml(text: str, name: str) -> Node:
    r"""Read YAML text whose top is a mapping.

    Raises:
        ManifestError: All problems at once, each with its line.

    Example:
        >>> parse_yaml("lr: 1e-3\nanswer: no\nid: 007", "exp001.yaml").plain
        {'lr': 0.001, 'answer': 'no', 'id': '007'}
    """
    import yaml

    try:
        problems = _check_events(yaml, text, name)
        root = yaml.compose(text, Loader=_loader())
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        _refuse(name, line, _told(error), "check indentation (by spaces), colons and quotes")
    except yaml.YAMLError as error:
        _refuse(name, 1, str(error).splitlines()[0], "save it as plain UTF-8 text")
    node = Node(None, 1, "") if root is None else _convert(root, name, problems)
    if node.raw == "":
        node = Node({}, 1)  # an empty file, or nothing after `---`
    if not problems and not isinstance(node.value, dict):
        problems.append(Problem(f"{name} line 1", "not a mapping", "`key: value` lines"))
    if problems:
        raise ManifestError(_count(name, problems), problems)
    return node


def _loader() -> Any:
    import yaml

    return getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _check_events(yaml: Any, text: str, name: str) -> list[Problem]:
    """Tell tags; stop at aliases, which blow a file up to any size, and at depth, which ends the stack."""
    problems = []
    depth = 0
    for event in yaml.parse(text, Loader=_loader()):
        line = event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent):
            _refuse(name, line, f"*{event.anchor}: aliases are not read", "write the value out")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            _refuse(name, line, f"nested more than {DEEPEST} levels deep", "")
        if getattr(event, "tag", None) is not None:
            tag = event.tag.replace(CORE_TAG, "!!")
            hint = "write the plain value: 1e-3 is a number here without a tag"
            problems.append(
                Problem(f"{name} line {line}", f"{tag}: tags can run code and are not read", hint=hint)
            )
    return problems


def _told(error: Any) -> str:
    """What libyaml found, and where that began: an open bracket is found at the end of the file."""
    found = error.problem or "not YAML"
    began = error.context_mark
    return f"{found} ({error.context}, line {began.line + 1})" if began and error.context else found


def _refuse(name: str, line: int, found: str, hint: str) -> NoReturn:
    raise ManifestError(
        f"{name} cannot be read", [Problem(f"{name} line {line}", found, hint=hint)]
    ) from None


def _count(name: str, problems: list[Problem]) -> str:
    return f"{name}: {counted(len(problems), 'problem')}"


def _convert(node: Any, name: str, problems: list[Problem]) -> Node:
    line = node.start_mark.line + 1
    if node.id == "mapping":
        return Node(_mapping(node, name, problems), line)
    if node.id == "sequence":
        return Node([_convert(item, name, problems) for item in node.value], line)
    return Node(node.value if node.style else _scalar(node.value), line, node.value)


def _mapping(node: Any, name: str, problems: list[Problem]) -> dict[str, Node]:
    result: dict[str, Node] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        if key_node.id != "scalar":
            problems.append(Problem(f"{name} line {line}", "a key that is a list or mapping", "a word"))
            continue
        key = key_node.value
        if key in result:
            problems.append(
                Problem(
                    f"{name} line {line}",
                    f"{key}: the key stands twice (line {result[key].line} too)",
                    "once",
                )
            )
        value = _convert(value_node, name, problems)
        result[key] = Node(value.value, line, value.raw)
    return result


def _scalar(raw: str) -> Any:
    if raw in WORDS:
        return WORDS[raw]
    if INTEGER.fullmatch(raw):
        return int(raw)
    if DECIMAL.fullmatch(raw) and math.isfinite(float(raw)):
        return float(raw)
    return raw


def dump_yaml(value: Any, header: str = "") -> str:
    """Plain data as YAML for people and git, keys in the order given; `header` becomes a comment.

    Example:
        >>> print(dump_yaml({"lr": 0.001, "version": "1e-3"}), end="")
        lr: 0.001
        version: '1e-3'
    """
    import yaml

    comment = "".join(f"# {line}\n" for line in header.splitlines())
    text: str = yaml.dump(value, Dumper=_dumper(), sort_keys=False, allow_unicode=True, width=110)
    return comment + text


def _dumper() -> Any:
    import yaml

    class Dumper(yaml.SafeDumper):
        """Writes what `parse_yaml` reads back: no aliases, quotes around text that looks like a number."""

        def ignore_aliases(self, data: Any) -> bool:
            return True

        def represent_text(self, value: str) -> Any:
            quote = None if isinstance(_scalar(value), str) else "'"
            style = quote if value.isprintable() else '"'
            return self.represent_scalar(CORE_TAG + "str", value, style=style)

    Dumper.add_representer(str, Dumper.represent_text)
    return Dumper
