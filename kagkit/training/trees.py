"""Take nested state apart into tensors by name and plain JSON, put it together again, and lose nothing."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import torch

from kagkit.foundation.errors import Problem, RunError

Tensors = dict[str, torch.Tensor]


def take_apart(tree: Any) -> tuple[Any, Tensors]:
    """What JSON can say of a tree, and its tensors by their place in it.

    Mappings, lists, tuples, numbers, texts, None and tensors come back as they were; keys of mappings may be
    whole numbers, as in an optimizer's state.

    Raises:
        RunError: Something else is in it: it would be lost.

    Example:
        >>> plain, tensors = take_apart({"rate": 0.1, 0: torch.ones(2), "betas": (0.9, float("inf"))})
        >>> list(tensors)
        ['0']
        >>> put_together(plain, tensors)
        {'rate': 0.1, 0: tensor([1., 1.]), 'betas': (0.9, inf)}
    """
    tensors: Tensors = {}
    return _apart(tree, "", tensors), tensors


def put_together(plain: Any, tensors: Mapping[str, torch.Tensor]) -> Any:
    """The tree that `take_apart` took apart.

    Raises:
        KeyError: A tensor is missing.
    """
    if isinstance(plain, list):
        return [put_together(part, tensors) for part in plain]
    if not isinstance(plain, dict):
        return plain
    ((kind, value),) = plain.items()
    if kind == "tensor":
        return tensors[value]
    if kind == "number":
        return float(value)
    if kind == "tuple":
        return tuple(put_together(part, tensors) for part in value)
    return {key: put_together(part, tensors) for key, part in value}


def find_changes(before: Any, after: Any) -> list[str]:
    """The places where two trees differ, bit for bit, in the order of their names.

    Example:
        >>> find_changes({"step": 3, "weight": torch.ones(2)}, {"step": 3, "weight": torch.zeros(2)})
        ['weight']
        >>> find_changes({"step": 3}, {"step": 4})
        ['step']
    """
    leaves = [dict(_leaves(tree, "")) for tree in (before, after)]
    return [
        place
        for place in sorted(leaves[0].keys() | leaves[1].keys())
        if place not in leaves[0] or place not in leaves[1] or not _alike(leaves[0][place], leaves[1][place])
    ]


def _leaves(tree: Any, place: str) -> Iterator[tuple[str, Any]]:
    if isinstance(tree, Mapping):
        for key, part in tree.items():
            yield from _leaves(part, _below(place, key))
    elif isinstance(tree, list | tuple):
        for number, part in enumerate(tree):
            yield from _leaves(part, _below(place, number))
    else:
        yield place, tree


def _alike(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        one, other = one.detach().cpu(), other.detach().cpu()
        same = one.dtype == other.dtype and one.shape == other.shape
        # Bits, not values: nan is not equal to itself, and -0 is to 0.
        return same and torch.equal(_bits(one), _bits(other))
    return type(one) is type(other) and (one == other or repr(one) == repr(other))


def _bits(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.contiguous().reshape(-1).view(torch.uint8)


def _apart(tree: Any, place: str, tensors: Tensors) -> Any:
    if isinstance(tree, torch.Tensor):
        tensors[place] = tree.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
        return {"tensor": place}
    if tree is None or isinstance(tree, bool | int | str):
        return tree
    if isinstance(tree, float):
        return tree if math.isfinite(tree) else {"number": str(tree)}
    if isinstance(tree, Mapping) and all(isinstance(key, int | str) for key in tree):
        inner = [[key, _apart(part, _below(place, key), tensors)] for key, part in tree.items()]
        return {"mapping": inner}
    if isinstance(tree, list | tuple):
        parts = [_apart(part, _below(place, number), tensors) for number, part in enumerate(tree)]
        return parts if isinstance(tree, list) else {"tuple": parts}
    wanted = "tensors, numbers, texts, and mappings or lists of them"
    problem = Problem(place, f"a {type(tree).__name__}", wanted)
    raise RunError("a checkpoint cannot keep all of the training's state", [problem])


def _below(place: str, key: int | str) -> str:
    return f"{place}/{key}" if place else str(key)
