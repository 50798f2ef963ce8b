from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.terminal import kagkit
from tests.toy import make_workspace


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace of two folds whose exp001 has run; for reading only."""
    root = make_workspace(tmp_path_factory.mktemp("finished"), folds={"main": {"n": 2}})
    kagkit(root, "run", "exp001")
    return root


@pytest.fixture
def toy(finished: Path, tmp_path: Path) -> Path:
    """A copy of that workspace, to be changed."""
    return shutil.copytree(finished, tmp_path / "toy")
