"""Tell the numeric fingerprint of a machine: what can change the last bit, and nothing private."""

from __future__ import annotations

import os
import platform
from functools import cache
from typing import Any

PACKAGES = (
    "kagkit",
    "numpy",
    "pandas",
    "pyarrow",
    "scikit-learn",
    "scipy",
    "torch",
    "lightgbm",
    "safetensors",
)
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
NUMERIC_VARIABLES = (
    "ATEN_CPU_CAPABILITY",
    "ONEDNN_MAX_CPU_ISA",
    "MKL_CBWR",
    "CUBLAS_WORKSPACE_CONFIG",
    "NVIDIA_TF32_OVERRIDE",
)


def numeric_environment(threads: int, determinism: str) -> dict[str, str]:
    """The variables that must be set before numpy or torch is imported.

    Args:
        threads: Threads for OpenMP, MKL and OpenBLAS. Their number changes the order of sums, thus the bits.
        determinism: `exact`, `seeded` or `off`; `exact` fixes cuBLAS' workspace.

    Example:
        >>> numeric_environment(2, "exact")["OMP_NUM_THREADS"]
        '2'
    """
    variables = dict.fromkeys(THREAD_VARIABLES, str(threads)) | {"PYTHONHASHSEED": "0"}
    if determinism == "exact":
        variables["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"
    return variables


@cache
def fingerprint() -> dict[str, Any]:
    """Python, packages, processor and numeric switches of this process, without importing any package.

    Returns:
        Plain data. No host, user or path is in it.
    """
    from importlib.metadata import PackageNotFoundError, version

    packages: dict[str, str | None] = {}
    for package in PACKAGES:
        try:
            packages[package] = version(package)
        except PackageNotFoundError:
            packages[package] = None
    return {
        "python": platform.python_version(),
        "system": platform.system(),
        "machine": platform.machine(),
        "processor": _processor(),
        "packages": packages,
        "switches": {name: os.environ[name] for name in NUMERIC_VARIABLES if name in os.environ},
    }


def _processor() -> str:
    """The processor's model name, where the system tells it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as stream:  # noqa: PTH123 (not a workspace file)
            names = [line.partition(":")[2].strip() for line in stream if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor()
