"""Take files in piece by piece, go on where a cut left off, give the whole its name only then."""

from __future__ import annotations

import os
import re
import secrets
from pathlib import Path

from kagkit.foundation.files import told_when_unwritable
from kagkit.host.register import Register, Upload

CONTENT_RANGE = re.compile(r"bytes (?:(\d+)-(\d+)|\*)/(\d+)")


def start_upload(register: Register, user: str, name: str, size: int) -> Upload:
    """Promise a place for a file that is to come; the promise outlives the server.

    Args:
        register: The host's ledger.
        user: Who sends it.
        name: What the participant calls it; a path is cut to its last part.
        size: Its bytes.
    """
    plain = name.replace("\\", "/").rpartition("/")[2] or "file"
    upload = Upload(secrets.token_hex(20), user, plain, size)
    register.note("upload", token=upload.token, user=user, name=plain, size=size)
    if size == 0:
        Incoming(register.root, upload).finish()
    return upload


def uploaded_file(root: Path, token: str) -> Path:
    """Where a whole uploaded file lies."""
    return root / "state" / "uploads" / token


class Incoming:
    """A file on its way in: the bytes so far, and its name once all are here."""

    def __init__(self, root: Path, upload: Upload) -> None:
        self.upload = upload
        self.whole = uploaded_file(root, upload.token)
        self._part = self.whole.with_suffix(".part")

    @property
    def received(self) -> int:
        """How many bytes are here."""
        if self.whole.exists():
            return self.upload.size
        return self._part.stat().st_size if self._part.exists() else 0

    def begin(self, start: int) -> bool:
        """Get ready for bytes from `start` on; False where bytes before them are missing."""
        if start > self.received:
            return False
        with told_when_unwritable("an upload"):
            self._part.parent.mkdir(parents=True, exist_ok=True)
            self._part.touch(mode=0o600)
            os.truncate(self._part, start)
        return True

    def add(self, chunk: bytes) -> bool:
        """Keep some more bytes; False where there are more than were announced."""
        if self.received + len(chunk) > self.upload.size:
            return False
        with told_when_unwritable("an upload"), self._part.open("ab") as stream:
            stream.write(chunk)
        return True

    def finish(self) -> bool:
        """Give the file its name if it is whole; whether it is."""
        if self.received < self.upload.size:
            return False
        if not self.whole.exists():
            with told_when_unwritable("an upload"):
                self._part.parent.mkdir(parents=True, exist_ok=True)
                with self._part.open("ab") as stream:
                    os.fsync(stream.fileno())
                self._part.replace(self.whole)
        return True


def read_range(header: str, size: int) -> int | None:
    """Where the bytes of a PUT begin: 0 without a Content-Range; None where it only asks how far it is.

    Raises:
        ValueError: The header is no range of a file of this size.

    Example:
        >>> read_range("bytes 4-9/10", 10), read_range("bytes */10", 10), read_range("", 10)
        (4, None, 0)
    """
    if not header:
        return 0
    match = CONTENT_RANGE.fullmatch(header.strip())
    if match is None or int(match[3]) != size:
        raise ValueError(f"Content-Range: {header}")
    return None if match[1] is None else int(match[1])
