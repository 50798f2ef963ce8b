"""Carry what every answer needs: the terms, the ledger, the addresses; refuse in Kaggle's shape."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from kagkit.foundation.errors import HostError
from kagkit.host.register import Register
from kagkit.host.shelf import Signer
from kagkit.host.terms import Terms

T = TypeVar("T")
PAGE = 20
LARGEST_PAGE = 200


class RefusalError(HostError):
    """A request that is refused, with the status and message its sender gets.

    Args:
        status: The HTTP status.
        message: What the sender may read.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Hosted:
    """One competition being hosted.

    Attributes:
        root: The host's folder.
        terms: What host.yaml says.
        register: What has happened.
        signer: Addresses of files.
    """

    root: Path
    terms: Terms
    register: Register
    signer: Signer

    @classmethod
    def of(cls, root: Path, terms: Terms) -> Hosted:
        """What is in a folder."""
        return cls(root, terms, Register(root, terms), Signer(root))


@dataclass(frozen=True)
class Caller:
    """Who asks, and how this server is called from there.

    Attributes:
        user: The participant's name; empty where nobody signed in.
        base: The address of pages: `http://127.0.0.1:8000`.
        blobs: The address of files and uploads. Its host has another name than that of the API, so that a
            client sends no key along when it is redirected.
    """

    user: str
    base: str
    blobs: str


@dataclass(frozen=True)
class Redirect:
    """An answer that sends the client on to a file.

    Attributes:
        path: The file's address below the server's own.
    """

    path: str


@dataclass(frozen=True)
class Attachment:
    """An answer that is a file itself.

    Attributes:
        name: What the file is called.
        content: Its bytes.
    """

    name: str
    content: bytes


def stamp(time: datetime) -> str:
    """A time as Kaggle writes it.

    Example:
        >>> stamp(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
        '2026-01-02T03:04:05.000Z'
    """
    return f"{time.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"


def text_of(request: dict[str, Any], name: str, default: str = "") -> str:
    """A text of a request.

    Raises:
        RefusalError: It is something else.
    """
    value = request.get(name, default)
    if value is None:
        return default
    if not isinstance(value, str):
        raise RefusalError(400, f"{name} must be a text")
    try:
        value.encode()
    except UnicodeEncodeError:  # JSON can spell halves of characters, which nothing can keep
        raise RefusalError(400, f"{name} must be a text in Unicode") from None
    return value


def whole_of(request: dict[str, Any], name: str, default: int = 0) -> int:
    """A whole number of a request, which JSON may also spell as text.

    Raises:
        RefusalError: It is something else.
    """
    value = request.get(name, default)
    if value is None:
        return default
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        raise RefusalError(400, f"{name} must be a whole number") from None


def size_of(host: Hosted, request: dict[str, Any]) -> int:
    """How many bytes a file that is announced has.

    Raises:
        RefusalError: More than host.yaml allows.
    """
    size = whole_of(request, "contentLength")
    if not 0 <= size <= host.terms.limits.upload_mb * 1_000_000:
        raise RefusalError(400, f"A file may have {host.terms.limits.upload_mb} MB")
    return size


def page_of(request: dict[str, Any], items: Sequence[T]) -> tuple[Sequence[T], str]:
    """The items of the page that is asked for, and the token of the next; empty where it is the last.

    A page is named by `pageToken`, or by `page`, from 1.
    """
    size = min(max(whole_of(request, "pageSize", PAGE) or PAGE, 1), LARGEST_PAGE)
    page = max(whole_of(request, "page", 1), 1)
    start = whole_of(request, "pageToken") if request.get("pageToken") else (page - 1) * size
    if start < 0:
        raise RefusalError(400, "pageToken is not one of ours")
    end = start + size
    return items[start:end], str(end) if end < len(items) else ""
