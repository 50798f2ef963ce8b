"""Compare the installed packages with the set that kagkit is tested with, and name those that differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.metadata import distributions
from pathlib import Path

from kagkit.foundation.environment import PACKAGES
from kagkit.foundation.errors import SAMPLES_SHOWN, counted, samples
from kagkit.foundation.findings import Finding

FILE = Path(__file__).with_name("tested.txt")  # a copy of constraints.txt, which no wheel has


def pinned_versions() -> dict[str, str]:
    """The version of each package that kagkit is tested with, by its normalised name.

    Example:
        >>> sorted({"numpy", "pandas", "torch"} & {*pinned_versions()})
        ['numpy', 'pandas', 'torch']
    """
    lines = FILE.read_text(encoding="utf-8").splitlines()
    pins = (line.split("==") for line in lines if "==" in line and not line.startswith("#"))
    return {_normal(name): version for name, version in pins}


def installed_versions() -> dict[str, str]:
    """The version of each package that is installed, by its normalised name."""
    found = ((distribution.metadata["Name"], distribution.version) for distribution in distributions())
    return {_normal(name): version for name, version in found if name}


def package_findings(installed: Mapping[str, str] | None = None) -> Iterator[Finding]:
    """What differs from the tested set, first among the packages that can change a result's last bits.

    Args:
        installed: Installed versions by normalised name; those of this Python by default.
    """
    tested, found = pinned_versions(), installed_versions() if installed is None else installed
    numeric = [_normal(name) for name in PACKAGES if _normal(name) in tested]
    missing = [name for name in numeric if name not in found]
    if missing:
        told = f"not installed: {', '.join(missing)}"
        yield Finding("packages", "needed", "wrong", told, f"pip install {' '.join(missing)}")
    others = [name for name in tested if name not in numeric]
    for what, names in (("numeric", numeric), ("others", others)):
        known = [name for name in names if name in found]
        other = [name for name in known if found[name].partition("+")[0] != tested[name]]
        if other:
            told = samples([f"{name} {found[name]} (tested {tested[name]})" for name in other])
            last_bits = "results may differ in their last bits from those elsewhere; the tested ones: "
            pins = " ".join(f"'{name}=={tested[name]}'" for name in other[:SAMPLES_SHOWN])
            hint = f"{last_bits if what == 'numeric' else ''}pip install {pins}"
            yield Finding("packages", what, "warn", told, hint)
        else:
            yield Finding("packages", what, "ok", f"{counted(len(known), 'package')} as tested")


def _normal(name: str) -> str:
    """A package's name as indexes spell it: `PyYAML` and `pyyaml` are one."""
    return name.lower().replace("_", "-").replace(".", "-")
