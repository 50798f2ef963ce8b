from __future__ import annotations

import json
import random
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from kagkit.engine.forkserver import ForkServerEngine
from kagkit.engine.jobs import Engine, Job
from kagkit.engine.local import ExecEngine
from kagkit.foundation.environment import numeric_environment
from kagkit.runs.exactness import prepare_numerics
from kagkit.runs.spec import write_spec
from kagkit.runs.store import Kept, find_task
from tests.workshop import Workshop, end_of, plan_of

NUMPY = '''"""Leave all to chance: what is drawn while this is imported, a set's order, every generator."""

import random

import pandas as pd

DRAWN = random.random(), pd.Series(range(99)).sample(5).tolist()


def train(task):
    import numpy as np

    drawn = [*DRAWN, random.random(), np.random.rand(3).tolist(), *{"a", "b", "c", "d", "e"}]
    (task.out / "drawn.txt").write_text(repr(drawn))


def predict(task, model, rows):
    import numpy as np

    return pd.DataFrame({"label": np.random.rand(len(rows))}, index=rows.index)
'''
TORCH = '''"""A small net that is not even imported before it is trained."""


def train(task):
    import torch
    from safetensors.torch import save_file

    x = torch.tensor(task.train_rows[["a", "b", "c"]].to_numpy(), dtype=torch.float32)
    y = torch.tensor(task.train_rows[["label"]].to_numpy(), dtype=torch.float32)
    layers = torch.nn.Linear(3, 16), torch.nn.ReLU(), torch.nn.Dropout(), torch.nn.Linear(16, 1)
    net = torch.nn.Sequential(*layers)
    steps = torch.optim.AdamW(net.parameters())
    for _ in range(5):
        steps.zero_grad()
        torch.nn.functional.binary_cross_entropy_with_logits(net(x), y).backward()
        steps.step()
    save_file(net.state_dict(), task.out / "net.safetensors")


def predict(task, model, rows):
    import torch

    return torch.rand(len(rows), 1).numpy()
'''
SWITCHES = """
import json, sys
import numpy as np
from kagkit.runs.exactness import prepare_numerics

prepare_numerics(3, 1, "exact")
before = "torch" in sys.modules
import torch
facts = []
for determinism in ("seeded", "exact", "exact"):
    prepare_numerics(3, 2, determinism)
    exact = torch.are_deterministic_algorithms_enabled()
    facts.append([torch.rand(1).item(), torch.get_num_threads(), exact])
prepare_numerics(3, 1, "off")
after = torch.rand(1).item(), torch.get_num_threads()
print(json.dumps({"before": before, "facts": facts, "after": after}))
"""


def _draw() -> tuple[float, float]:
    return random.random(), float(np.random.rand())  # noqa: NPY002 (what a recipe may use)


def test_a_seed_repeats_what_python_and_numpy_draw() -> None:
    drawn = []
    for seed in (1, 2, 1):
        prepare_numerics(seed, 1, "seeded")
        drawn.append(_draw())
    assert drawn[0] == drawn[2] != drawn[1]


def test_off_leaves_the_generators_alone() -> None:
    prepare_numerics(1, 1, "seeded")
    first = _draw()
    prepare_numerics(1, 1, "off")
    assert _draw() != first


def test_torch_is_switched_where_it_is_there_and_never_brought_in() -> None:
    printed = subprocess.run(
        [sys.executable, "-c", SWITCHES], check=True, capture_output=True, text=True
    ).stdout
    told = json.loads(printed)
    assert not told["before"]
    drawn, threads, exact = zip(*told["facts"], strict=True)
    assert len(set(drawn)) == 1
    assert told["after"][0] != drawn[0]
    assert (threads, told["after"][1]) == ((2, 2, 2), 1)
    assert exact == (False, True, True)


def _trained(
    root: Path, recipe: str, open_engine: Callable[[Mapping[str, str], Path], Engine]
) -> tuple[Kept, ...]:
    """What training fold 0 leaves, done by an engine."""
    planned = plan_of(Workshop.open(root, recipe=recipe).root)[0]
    work = root / "runs/.work" / planned.spec.work_name
    write_spec(work / "spec.json", planned.spec)
    spec = (work / "spec.json").relative_to(root).as_posix()
    job = Job("train", "kagkit.runs.worker:do_task", spec, work / "log.txt", {"CUDA_VISIBLE_DEVICES": ""})
    with open_engine(numeric_environment(1, "exact"), root) as engine:
        engine.start(job)
        while not (ended := engine.poll(10)):
            pass
    assert ended[0].code == 0, (work / "log.txt").read_text()
    stored = find_task(root / "runs/.tasks", planned.spec.key)
    assert stored is not None
    return stored.record.files


@pytest.mark.skipif(sys.platform != "linux", reason="the fork server needs Linux")
@pytest.mark.parametrize("recipe", [NUMPY, TORCH], ids=["numpy", "torch"])
def test_a_forked_task_and_one_in_a_new_python_give_the_same_bytes(recipe: str, tmp_path: Path) -> None:
    modules = ("pandas", "pyarrow.ipc", "kagkit.runs.worker", "torch", "torch._dynamo")
    preload = modules if recipe == TORCH else modules[:3]
    forked = _trained(tmp_path / "a", recipe, lambda env, cwd: ForkServerEngine(env, cwd, preload))
    started = _trained(tmp_path / "b", recipe, ExecEngine)
    assert forked == started
    assert len(forked) == 1


def test_nothing_of_the_place_the_user_or_the_hour_decides_a_byte(tmp_path: Path) -> None:
    private = {"USER": "zaphod", "LOGNAME": "zaphod", "HOME": str(tmp_path / "zaphods")}
    others = {"USER": "trillian", "LOGNAME": "trillian", "HOME": "/", "PYTHONHASHSEED": "7", "LC_ALL": "C"}
    here, there = tmp_path / "here/toy", tmp_path / "quite/another place"
    talk = 'print(task.out, Path.home(), file=sys.stderr)\n    warnings.warn(f"{task.out}")'
    recipe = NUMPY.replace(
        "import random\n", "import random\nimport sys\nimport warnings\nfrom pathlib import Path\n"
    )
    recipe = recipe.replace("    drawn =", f"    {talk}\n    drawn =")
    with ExitStack() as stack:
        shops = [stack.enter_context(Workshop.open(root, recipe=recipe)) for root in (here, there)]
        end_of(shops[0].start("run", "exp001", **private, PYTHONHASHSEED="1", TZ="UTC"))
        end_of(shops[1].start("run", "exp001", **others, TZ="Asia/Tokyo"))
        assert shops[0].outcome() == shops[1].outcome()
        assert [task.name for task in shops[0].tasks()] == [task.name for task in shops[1].tasks()]
        secrets = [str(tmp_path), "zaphod", "trillian", socket.gethostname(), str(Path.home())]
        for shop in shops:
            _nothing_tells(secrets, shop.root)


def _nothing_tells(secrets: list[str], folder: Path) -> None:
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert len(files) > 20
    for path in files:
        content = path.read_bytes()
        for secret in secrets:
            assert secret.encode() not in content, f"{path} tells {secret}"


def test_a_planted_secret_would_be_found(tmp_path: Path) -> None:
    for number in range(21):
        (tmp_path / f"{number}.txt").write_text("nothing")
    (tmp_path / "20.txt").write_text("by zaphod")
    with pytest.raises(AssertionError, match="tells zaphod"):
        _nothing_tells(["zaphod"], tmp_path)
