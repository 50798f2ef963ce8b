from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

# A hook can never be taken out again, and modules stay imported: each case has a process of its own.
DRIVER = """
import json, os, sys
from pathlib import Path
import numpy as np
import pandas as pd
from kagkit.runs.watching import ReadWatch

root = Path(sys.argv[1])
os.chdir(root)
for name, code in json.loads(sys.argv[2]).items():
    if os.fork() == 0:
        sys.path.insert(0, str(root))
        watch = ReadWatch(root, ("data", "listed.txt"), root.parent / "reads")
        watch.start()
        exec(code)
        seen = watch.undeclared()
        open(root / "notes.txt").close()
        Path(f"{root}-seen", name).write_text(json.dumps(seen + watch.undeclared()))
        os._exit(0)
    assert os.wait()[1] == 0, code
"""

READING = {
    "open": "open('notes.txt').read()",
    "bytes": "open(b'notes.txt').read()",
    "unbuffered": "open('notes.txt', 'rb', buffering=0).read()",
    "updating": "open('notes.txt', 'r+').read()",
    "appending": "open('notes.txt', 'a+').read()",
    "a path": "Path('notes.txt').read_text()",
    "an absolute path": "(root / 'notes.txt').read_bytes()",
    "a roundabout path": "os.chdir('data'); open('../data2/../notes.txt').read()",
    "a descriptor": "os.read(os.open('notes.txt', os.O_RDONLY), 9)",
    "a descriptor of a path": "os.read(os.open(Path('notes.txt'), os.O_RDONLY), 9)",
    "pandas": "pd.read_csv('notes.txt')",
    "numpy": "np.loadtxt('notes.txt', dtype=str)",
    "a map": "np.memmap('notes.txt', mode='r')",
    "a copy": "__import__('shutil').copy('notes.txt', f'{root}-seen/copy.txt')",
}
NOT_READING = {
    "declared file": "open('listed.txt').read()",
    "declared folder": "open('data/deep/train.csv').read()",
    "declared by another way": "os.chdir('data2'); open('../data/deep/train.csv').read()",
    "writing": "open('new.txt', 'w').write('x')",
    "writing to read later": "open('new2.txt', 'w+').read()",
    "adding": "open('new.txt', 'a').write('x')",
    "not there": "Path('no such file').exists()",
    "a folder": "sorted(os.listdir('.'))",
    "elsewhere": "open(os.__file__).read()",
    "gone": "open('data2/gone.txt').read(); os.remove('data2/gone.txt')",
    "a folder that begins alike": "path = Path(f'{root}-seen/x.txt'); path.touch(); path.read_text()",
}
OTHERS = {
    "a name that begins alike": ("open('data2/x.csv').read()", ["data2/x.csv"]),
    "a module": ("import helper", ["helper.py"]),
    "a module by name": (
        "__import__('importlib').import_module('package.inner')",
        ["package/__init__.py", "package/inner.py"],
    ),
    "two files": ("open('notes.txt'); open('data2/x.csv'); open('notes.txt')", ["data2/x.csv", "notes.txt"]),
    "after the end": ("", []),
}
WANTED = (
    {name: (code, ["notes.txt"]) for name, code in READING.items()}
    | {name: (code, []) for name, code in NOT_READING.items()}
    | OTHERS
)


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """What was undeclared in each case."""
    root = tmp_path_factory.mktemp("watching") / "toy"
    files = ["notes.txt", "listed.txt", "data/deep/train.csv", "data2/x.csv", "data2/gone.txt", "helper.py"]
    for name in [*files, "package/__init__.py", "package/inner.py"]:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("word = 1\n")
    told = Path(f"{root}-seen")
    told.mkdir()
    cases = json.dumps({name: code for name, (code, _) in WANTED.items()})
    subprocess.run([sys.executable, "-c", DRIVER, str(root), cases], check=True)
    return {name: json.loads((told / name).read_text()) for name in WANTED}


@pytest.mark.parametrize("name", WANTED)
def test_what_is_read_and_not_declared_is_seen_and_nothing_else(
    name: str, seen: dict[str, list[str]]
) -> None:
    assert sorted(set(seen[name])) == WANTED[name][1]
