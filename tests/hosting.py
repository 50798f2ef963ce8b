"""A tiny hosted competition for tests: eight rows, two stages, three participants in two teams."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from kagkit.foundation.files import read_json
from kagkit.foundation.strictyaml import dump_yaml
from kagkit.host import submissions
from kagkit.host.accounts import digest_key
from kagkit.host.grading import grade
from kagkit.host.hosted import Caller, Hosted
from kagkit.host.register import Register, Submission
from kagkit.host.shelf import Signer
from kagkit.host.terms import read_terms
from kagkit.host.uploads import Incoming

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
HOST: dict[str, Any] = {
    "kagkit": 1,
    "competition": "toy",
    "title": "Toy",
    "metric": {"score": "kagkit.metrics:accuracy", "greater_is_better": True, "args": {"labels": [0, 1]}},
    "submission": {"key": ["id"], "target": ["y"]},
    "limits": {"daily": 3},
    "stages": {
        "1": {"files": ["files"], "solution": "solution.csv"},
        "2": {"files": ["files2"], "solution": "solution2.csv", "labels": "stage1_labels.csv"},
    },
    "participants": {
        "ann": {"key_sha256": digest_key("ann's"), "team": "A"},
        "bob": {"key_sha256": digest_key("bob's"), "team": "A"},
        "cid": {"key_sha256": digest_key("cid's")},
        "dan": {"key_sha256": digest_key("dan's"), "rules_accepted": False},
    },
}
# Public a b c, private d e f, ignored g h.
SOLUTION = "id,y,Usage\na,0,Public\nb,1,Public\nc,1,Public\nd,0,Private\ne,1,Private\nf,0,Private\n"
SOLUTION += "g,1,Ignored\nh,0,Ignored\n"
TRUTH = {"a": 0, "b": 1, "c": 1, "d": 0, "e": 1, "f": 0, "g": 1, "h": 0}


@dataclass
class Clock:
    """A clock that stands until it is moved."""

    time: datetime = field(default=NOON)

    def __call__(self) -> datetime:
        return self.time

    def pass_by(self, **span: float) -> None:
        self.time += timedelta(**span)


def write_host(root: Path, **changes: Any) -> None:
    """Write the host's folder; a keyword replaces a key of host.yaml."""
    for folder in ("files", "files2"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    (root / "host.yaml").write_text(dump_yaml(HOST | changes), encoding="utf-8")
    (root / "solution.csv").write_text(SOLUTION)
    (root / "solution2.csv").write_text(
        SOLUTION.replace("Public", "?").replace("Private", "Public").replace("?", "Private")
    )
    (root / "files/train.csv").write_text("id,x,y\nt,1,0\n")
    (root / "files/test.csv").write_text("id,x\na,1\n")
    (root / "files2/test.csv").write_text("id,x\nnew,1\n")


def open_host(root: Path, clock: Clock | None = None) -> Hosted:
    """The host that a folder holds, as a server that has just started sees it."""
    terms = read_terms(root)
    return Hosted(root, terms, Register(root, terms, clock or Clock()), Signer(root))


def make_host(root: Path, clock: Clock | None = None, **changes: Any) -> Hosted:
    """A new host."""
    write_host(root, **changes)
    return open_host(root, clock)


def caller(user: str = "ann") -> Caller:
    """A participant on this machine."""
    return Caller(user, "http://127.0.0.1:1", "http://localhost:1")


def answer(**changes: Any) -> str:
    """A submission: the truth, but for some rows; None leaves a row out."""
    rows = {name: value for name, value in (TRUTH | changes).items() if value is not None}
    return "id,y\n" + "".join(f"{name},{value}\n" for name, value in rows.items())


def submit(host: Hosted, text: str | bytes = "", user: str = "ann", name: str = "submission.csv") -> int:
    """Upload a file and submit it; its number."""
    content = text.encode() if isinstance(text, str) else text
    asked = {"competitionName": "toy", "contentLength": len(content), "fileName": name}
    token = submissions.start_submission(host, caller(user), asked)["token"]
    incoming = Incoming(host.root, host.register.events.uploads[token])
    assert incoming.begin(0)
    assert incoming.add(content)
    asked = {"competitionName": "toy", "blobFileTokens": token, "submissionDescription": "a note"}
    ref: int = submissions.create_submission(host, caller(user), asked)["ref"]
    return ref


def graded(host: Hosted, ref: int) -> Submission:
    """A submission once it is scored, in this process."""
    item, outcome = host.register.events.submissions[ref], host.root / "outcome.json"
    task = {"root": str(host.root), "stage": item.stage, "token": item.token, "outcome": str(outcome)}
    assert grade(json.dumps(task)) == 0
    host.register.settle(ref, read_json(outcome))
    return host.register.events.submissions[ref]
