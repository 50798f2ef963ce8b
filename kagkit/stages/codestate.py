"""Say which commit the code stands at and keep what differs from it as a patch, wherever git is there."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

from kagkit.foundation.files import file_sha256, write_file
from kagkit.workspace.layout import Workspace


def tell_code(workspace: Workspace, patch: str) -> dict[str, Any]:
    """The commit of the workspace, and the digest of the patch that its files are apart from it.

    Args:
        workspace: The workspace.
        patch: The name of the file, beside competition.yaml, that the patch is written to.

    Returns:
        `commit`, `dirty`, `patch`, `patch_sha256` and `untracked`, the files that git knows nothing of; None
        each where there is no git, or no commit. Runs keep the code that made them in any case.
    """
    root = workspace.root
    commit, differs = _git(root, "rev-parse", "HEAD"), _git(root, "diff", "HEAD", "--binary", "--", ".")
    told: dict[str, Any] = {
        "commit": None,
        "dirty": None,
        "patch": None,
        "patch_sha256": None,
        "untracked": [],
    }
    if commit is None or differs is None:
        return told
    listed = _git(root, "ls-files", "--others", "--exclude-standard", "--", "*.py", "*.yaml") or b""
    untracked = sorted(name for name in listed.decode().splitlines() if not name.startswith("runs/"))
    told |= {"commit": commit.decode().strip(), "dirty": bool(differs or untracked), "untracked": untracked}
    if differs:
        write_file(root / patch, differs)
        told |= {"patch": patch, "patch_sha256": file_sha256(root / patch)}
    return told


def _git(root: Path, *words: str) -> bytes | None:
    """What git prints; None where it is not there or has nothing to say."""
    try:
        done = subprocess.run(["git", *words], cwd=root, capture_output=True, check=False, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
