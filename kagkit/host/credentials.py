"""Find which credential would go to Kaggle, in the client's own order, and what is wrong with it."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from kagkit.foundation.errors import HostError, Problem

NEW_TOKEN = "make one at https://www.kaggle.com/settings, or run: kaggle auth login"  # noqa: S105
ASK_FOR_KEY = "ask the host for your key"
ACCEPTED = "accepted by the host"
TRUE = ("1", "true", "yes")


class UnknownSenderError(HostError):
    """The host does not know who asks: the credential is missing or not accepted."""


@dataclass(frozen=True)
class Credentials:
    """Which credential is sent, and from where; the credential itself is never told.

    Attributes:
        source: Where it is from: `KAGGLE_API_TOKEN`, `kaggle.json`; None where there is none.
        token: Whether it is a token, which the host is asked about at once, and not a name with a key.
        unused: Further credentials that are there and not sent.
        problems: What is wrong, as far as this machine knows.
        loopback: Whether the host is on this machine; it knows keys of its own.
        answer: What the host says of it, in words; empty where it was not asked.
    """

    source: str | None
    token: bool
    unused: tuple[str, ...]
    problems: tuple[Problem, ...]
    secrets: frozenset[str] = field(default=frozenset(), repr=False)
    dangers: tuple[Problem, ...] = ()
    loopback: bool = False
    answer: str = ""

    @property
    def remedy(self) -> str:
        """What to do where the host does not accept the credential."""
        new = ASK_FOR_KEY if self.loopback else NEW_TOKEN
        if self.source is None:
            return new
        if self.source.startswith("KAGGLE_"):
            names = self.source.replace(" and ", " ")
            instead = f"so that {self.unused[0]} is used" if self.unused else f"and {new}"
            return f"unset {names}, {instead}"
        return f"its content is not, or no longer, valid: {new}"

    def refuse_dangers(self) -> None:
        """Refuse settings under which the client would print the credential, or ask another host.

        Raises:
            HostError: All of them.
        """
        if self.dangers:
            raise HostError("the kaggle client may not run like this", self.dangers)

    def refusal(self, found: str) -> HostError:
        """The error for a credential that is missing or not accepted."""
        where = self.source or "credentials"
        problems = [Problem(where, found, hint=self.remedy), *self.problems]
        return UnknownSenderError("the host does not know who asks", problems)


def find_credentials(*, loopback: bool = False) -> Credentials:
    """Look where the client looks, and tell nothing of what is there but its place.

    Args:
        loopback: Whether they go to a host on this machine.
    """
    found = list(_found())
    problems = [problem for _, _, _, problem in found if problem is not None]
    used = [(source, token) for source, token, secrets, _ in found if secrets]
    secrets = frozenset(secret for _, _, told, _ in found for secret in told if len(secret) > 3)
    source, token = used[0] if used else (None, False)
    if source is None and os.environ.get("KAGGLE_TOKEN"):
        hint = "its name is KAGGLE_API_TOKEN"
        problems.append(Problem("KAGGLE_TOKEN", "not read when signing in", hint=hint))
    unused = tuple(name for name, _ in used[1:])
    dangers = tuple(_dangers(loopback=loopback))
    return Credentials(source, token, unused, tuple(problems), secrets, dangers, loopback)


def _dangers(*, loopback: bool) -> Iterator[Problem]:
    for name in ("VERBOSE", "VERBOSE_OUTPUT"):
        if os.environ.get(name, "").lower() in TRUE:
            found = "the kaggle client would print the credential"
            yield Problem(name, found, hint=f"unset {name}")
    name = "KAGGLE_API_ENVIRONMENT"
    # The kaggle program needs LOCALHOST for a host here, which the door's own address goes before.
    harmless = ("PROD", "LOCALHOST") if loopback else ("PROD",)
    if os.environ.get(name, "PROD") not in harmless:
        found = f"{os.environ[name]}: the kaggle client would ask another host, or print the credential"
        yield Problem(name, found, hint=f"unset {name}")


Found = tuple[str, bool, list[str], Problem | None]


def _found() -> Iterator[Found]:
    """Each place that holds something, in the client's order: is it a token, its secrets, its problem."""
    if os.environ.get("KAGGLE_KERNEL_RUN_TYPE") is not None and os.environ.get("KAGGLE_API_V1_TOKEN"):
        yield _token_file("KAGGLE_API_V1_TOKEN", Path(os.environ["KAGGLE_API_V1_TOKEN"]))
    token = os.environ.get("KAGGLE_API_TOKEN")
    if token and _is_file(token):
        yield _token_file("KAGGLE_API_TOKEN", Path(token))
    elif token:
        yield "KAGGLE_API_TOKEN", True, [token], None
    for name in ("access_token", "access_token.txt"):
        if (Path.home() / ".kaggle" / name).is_file():
            yield _token_file(f"~/.kaggle/{name}", Path.home() / ".kaggle" / name)
    yield from _found_keys()
    if (Path.home() / ".kaggle/credentials.json").is_file():
        yield "kaggle auth login", True, ["-"], None


def _is_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except (OSError, ValueError):
        return False


def _token_file(where: str, path: Path) -> Found:
    try:
        content = path.read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return where, True, [], Problem(where, "the file cannot be read")
    problem = None if content else Problem(where, "the file is empty", hint=NEW_TOKEN)
    return where, True, [content] if content else [], problem


def _found_keys() -> Iterator[Found]:
    user, key = os.environ.get("KAGGLE_USERNAME"), os.environ.get("KAGGLE_KEY")
    if user and key:
        yield "KAGGLE_USERNAME and KAGGLE_KEY", False, [key], None
    elif user or key:
        there, missing = ("KAGGLE_USERNAME", "KAGGLE_KEY") if user else ("KAGGLE_KEY", "KAGGLE_USERNAME")
        secrets: list[str] = []
        yield (
            there,
            False,
            secrets,
            Problem(there, f"is set without {missing}", hint=f"set {missing} as well"),
        )
    path = _config_folder() / "kaggle.json"
    if not path.is_file():
        return
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        key = str(told["key"]) if told["username"] else ""
    except (OSError, ValueError, TypeError, KeyError):
        yield "kaggle.json", False, [], Problem("kaggle.json", "no username and key in it", hint=NEW_TOKEN)
        return
    open_to_all = path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH)
    hint = "chmod 600 kaggle.json, in the folder of the kaggle client"
    problem = (
        Problem("kaggle.json", "other users of this machine can read it", hint=hint) if open_to_all else None
    )
    yield "kaggle.json", False, [key], problem


def _config_folder() -> Path:
    told = os.environ.get("KAGGLE_CONFIG_DIR")
    if told:
        return Path(told)
    folder = Path.home() / ".kaggle"
    if folder.exists():
        return folder
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "kaggle"
