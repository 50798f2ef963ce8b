"""Ask a new Python how numpy and torch are built and set in a task, and tell it as a record does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from kagkit.engine.slots import visible_gpus
from kagkit.foundation.environment import numeric_environment
from kagkit.foundation.findings import Finding

PATIENCE_SECONDS = 120.0
ASK = """import importlib.util, json, numpy
if importlib.util.find_spec("torch"):
    import torch
from kagkit.foundation.environment import device_name, library_builds
from kagkit.runs.exactness import prepare_numerics
prepare_numerics(seed=0, threads=1, determinism="exact")
print(json.dumps(library_builds() | {"device": device_name()}))
"""
SETTING = "a task with one thread and `determinism: exact`"


def build_findings() -> Iterator[Finding]:
    """The builds, switches and device that a record has under `numerics`, as in a task with the defaults."""
    told = _ask_for_builds()
    if isinstance(told, str):
        hint = "python -c 'import numpy, torch' says more"
        yield Finding("machine", "numerics", "wrong", f"numpy or torch cannot be imported: {told}", hint)
        return
    yield Finding("machine", "numpy build", "ok", _spell(told["numpy"]))
    torch = told.get("torch", {})
    if torch:
        plain = {name: value for name, value in torch.items() if name != "gpu"}
        yield Finding("machine", "torch build", "ok", f"{_spell(plain)}; in {SETTING}")
    gpu = torch.get("gpu")
    yield Finding("machine", "device", "ok", _spell(gpu) if gpu else told["device"])


@cache
def _ask_for_builds() -> dict[str, Any] | str:
    """What a new Python says, which takes the seconds that torch takes; or the name of its error."""
    gpus = ",".join(visible_gpus()[:1])
    variables = os.environ | numeric_environment(1, "exact") | {"CUDA_VISIBLE_DEVICES": gpus}
    asked = subprocess.run(
        [sys.executable, "-P", "-c", ASK],
        env=variables,
        check=False,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
    )
    if asked.returncode:
        return (asked.stderr.strip().splitlines() or ["no word"])[-1].partition(":")[0]
    told: dict[str, Any] = json.loads(asked.stdout.splitlines()[-1])
    return told


def _spell(facts: Mapping[str, Any]) -> str:
    """Names and values as they stand in a record.

    Example:
        >>> _spell({"version": "2.4.6", "cudnn_tf32": True, "mkl": None})
        'version 2.4.6, cudnn_tf32 true, mkl null'
    """
    spelled = {name: value if isinstance(value, str) else json.dumps(value) for name, value in facts.items()}
    return ", ".join(f"{name} {value}" for name, value in spelled.items())
