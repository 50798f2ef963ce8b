"""Tell the numeric fingerprint of a machine: what can change the last bit, and nothing private."""

from __future__ import annotations

import os
import platform
import re
import sys
from functools import cache
from hashlib import sha256
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
# Modules whose package has another name, or one of several.
MODULES = {
    "sklearn": ("scikit-learn",),
    "cv2": ("opencv-python", "opencv-python-headless", "opencv-contrib-python"),
    "PIL": ("pillow",),
    "skimage": ("scikit-image",),
    "xgboost": ("xgboost", "xgboost-cpu"),
}
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
NUMERIC_VARIABLES = (
    "ATEN_CPU_CAPABILITY",
    "ONEDNN_MAX_CPU_ISA",
    "MKL_CBWR",
    "OPENBLAS_CORETYPE",
    "CUBLAS_WORKSPACE_CONFIG",
    "NVIDIA_TF32_OVERRIDE",
)
INSTRUCTIONS = 12  # digits of a digest


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
def fingerprint(modules: tuple[str, ...] = ()) -> dict[str, Any]:
    """Python, packages, processor and numeric switches of this process, without importing any package.

    Args:
        modules: Further modules whose packages count, by the names they are imported by.

    Returns:
        Plain data. No host, user or path is in it.
    """
    from importlib.metadata import PackageNotFoundError, version

    packages: dict[str, str | None] = {}
    further = {package for name in modules for package in MODULES.get(name, (name,))}
    for package in (*PACKAGES, *sorted(further - {*PACKAGES})):
        try:
            packages[package] = version(package)
        except PackageNotFoundError:
            if package in PACKAGES:
                packages[package] = None
    return {
        "python": platform.python_version(),
        "system": platform.system(),
        "machine": platform.machine(),
        "processor": _processor(),
        "instructions": _instructions(),
        "packages": packages,
        "switches": {name: os.environ[name] for name in NUMERIC_VARIABLES if name in os.environ},
    }


def installed_packages() -> list[str]:
    """Everything that is installed beside this Python, as `name==version`, by name.

    It is what `pip install` needs to bring the same packages back. No path or address is in it.
    """
    from importlib.metadata import distributions

    # Each look at `metadata` reads the file again, and `version` is one more look.
    told = (each.metadata for each in distributions())
    found = {metadata["Name"].lower().replace("_", "-"): metadata["Version"] for metadata in told}
    return [f"{name}=={version}" for name, version in sorted(found.items())]


def device_name() -> str:
    """What a task computes on: `cpu`, or the GPU's name where this process has torch and one is visible."""
    torch: Any = sys.modules.get("torch")
    if torch is None or not os.environ.get("CUDA_VISIBLE_DEVICES") or not torch.cuda.is_available():
        return "cpu"
    return str(torch.cuda.get_device_name(0))


def library_builds() -> dict[str, Any]:
    """How numpy and torch were built and are switched in this process, as far as it has imported them.

    Returns:
        Plain data, such as the versions of MKL and oneDNN, the instruction set torch uses, its threads and
        deterministic switches; for a GPU its name, driver and cuDNN. Other builds, other last bits.
    """
    found: dict[str, Any] = {}
    numpy: Any = sys.modules.get("numpy")
    if numpy is not None:
        blas = numpy.show_config(mode="dicts").get("Build Dependencies", {}).get("blas", {})
        found["numpy"] = {"version": numpy.__version__, "blas": f"{blas.get('name')} {blas.get('version')}"}
    torch: Any = sys.modules.get("torch")
    if torch is not None:
        found["torch"] = _torch_build(torch)
    return found


def _torch_build(torch: Any) -> dict[str, Any]:
    built = torch.__config__.show()
    versions = {"mkl": r"Math Kernel Library Version (\S+)", "onednn": r"MKL-DNN (\S+)"}
    matches = {name: re.search(pattern, built) for name, pattern in versions.items()}
    found = {
        "version": str(torch.__version__),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "matmul_precision": torch.get_float32_matmul_precision(),
        "cudnn_tf32": torch.backends.cudnn.allow_tf32,
        "cudnn_benchmark": torch.backends.cudnn.benchmark,
        "cudnn_deterministic": torch.backends.cudnn.deterministic,
    } | {name: match[1] if match else None for name, match in matches.items()}
    if device_name() != "cpu":
        found["gpu"] = {
            "name": device_name(),
            "driver": torch._C._cuda_getDriverVersion(),
            "cuda": torch.version.cuda,
            "cudnn": torch.backends.cudnn.version(),
        }
    return found


def _processor() -> str:
    """The processor's model name, where the system tells it."""
    return _told_of_processor("model name") or platform.processor()


def _instructions() -> str:
    """A short digest of what the processor can do: a virtual one has the same name on many machines."""
    flags = _told_of_processor("flags", "Features").split()
    return sha256(" ".join(sorted(flags)).encode()).hexdigest()[:INSTRUCTIONS] if flags else ""


def _told_of_processor(*names: str) -> str:
    """The first thing that Linux says of the processor under one of some names; empty where it does not."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as stream:  # noqa: PTH123 (not a workspace file)
            told = (line.partition(":") for line in stream)
            return next((value.strip() for name, _, value in told if name.strip() in names), "")
    except OSError:
        return ""
