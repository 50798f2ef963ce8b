from __future__ import annotations

import getpass
import io
import json
import os
import platform
import socket
import subprocess
import sys

import pytest

from kagkit.foundation import environment
from kagkit.foundation.environment import fingerprint, library_builds, numeric_environment

SWITCHES = {"CUBLAS_WORKSPACE_CONFIG": ":4096:8", "OPENBLAS_CORETYPE": "Haswell"}
TOLD = """
import json, sys
from kagkit.foundation.environment import fingerprint
found = fingerprint()
assert not {"numpy", "pandas", "torch"} & set(sys.modules), "a package was imported"
print(json.dumps(found))
"""


def told_by_a_new_process(**variables: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", TOLD], env=os.environ | variables, capture_output=True, text=True, check=True
    ).stdout


def test_the_fingerprint_holds_no_user_host_or_path() -> None:
    told = told_by_a_new_process(USER="ann-the-user", LOGNAME="ann-the-user", HOME="/home/ann-the-user")
    assert "ann-the-user" not in told
    words = leaves(json.loads(told)) | leaves(fingerprint())
    assert words.isdisjoint({socket.gethostname(), platform.node(), getpass.getuser()})
    assert not [word for word in words if word.startswith(("/", "~"))]


def leaves(value: object) -> set[str]:
    if isinstance(value, dict):
        return {leaf for pair in value.items() for part in pair for leaf in leaves(part)}
    return {str(value)}


def test_the_fingerprint_tells_versions_and_numeric_switches_without_importing_anything() -> None:
    found = json.loads(told_by_a_new_process(**SWITCHES, SECRET_TOKEN="abc"))
    assert found["python"] == platform.python_version()
    assert found["packages"]["numpy"] == __import__("numpy").__version__
    assert found["switches"].items() >= SWITCHES.items()
    assert "SECRET_TOKEN" not in json.dumps(found)


def test_a_package_that_is_not_there_is_told_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kagkit.foundation.environment.PACKAGES", ("numpy", "no-such-package"))
    packages = fingerprint.__wrapped__()["packages"]
    assert packages["no-such-package"] is None
    assert packages["numpy"]


@pytest.mark.parametrize("determinism", ["exact", "seeded", "off"])
def test_every_numeric_library_gets_the_same_number_of_threads(determinism: str) -> None:
    variables = numeric_environment(3, determinism)
    threads = {value for name, value in variables.items() if name.endswith("_NUM_THREADS")}
    assert threads == {"3"}
    assert variables["PYTHONHASHSEED"] == "0"
    assert ("CUBLAS_WORKSPACE_CONFIG" in variables) == (determinism == "exact")


def test_builds_are_told_of_what_is_imported_and_hold_no_path() -> None:
    import torch

    told = library_builds()
    assert told["numpy"]["version"] == __import__("numpy").__version__
    assert told["torch"]["version"] == torch.__version__
    assert told["torch"]["threads"] == torch.get_num_threads()
    assert not [word for word in leaves(told) if "/" in word]


def test_builds_import_nothing() -> None:
    told = TOLD.replace("fingerprint", "library_builds")
    assert (
        subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True).stdout
        == "{}\n"
    )


def test_two_processors_of_one_name_are_told_apart_by_what_they_can_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told = {}
    for flags in ("sse avx", "avx sse", "sse"):
        lines = f"processor\t: 0\nmodel name\t: Virtual CPU\nflags\t\t: {flags}\n"
        monkeypatch.setattr("builtins.open", lambda *_, lines=lines, **__: io.StringIO(lines))
        told[flags] = environment._processor(), environment._instructions()
    assert told["sse avx"] == told["avx sse"]
    assert told["sse"][0] == told["sse avx"][0] == "Virtual CPU"
    assert told["sse"][1] != told["sse avx"][1]
