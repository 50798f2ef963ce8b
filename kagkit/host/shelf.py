"""Find what participants may download, wrap it as Kaggle does, hand out addresses nobody can make up."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import uuid
import zipfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote, urlencode

from kagkit.foundation.files import told_when_unwritable, write_file
from kagkit.host.terms import HostStage, Terms

WRAPPED_FROM = 1 << 20
PACKED = (".zip", ".gz", ".7z", ".bz2", ".xz", ".png", ".jpg", ".jpeg", ".parquet", ".feather")
RELEASED = "state/released"


@dataclass(frozen=True)
class Offer:
    """A file on offer.

    Attributes:
        name: Its name for participants, with folders before a `/`.
        path: Where it lies.
    """

    name: str
    path: Path

    @property
    def size(self) -> int:
        """Its bytes."""
        return self.path.stat().st_size

    @property
    def created(self) -> datetime:
        """When it was last written."""
        return datetime.fromtimestamp(self.path.stat().st_mtime, UTC)


def offers(root: Path, terms: Terms, stage: str) -> dict[str, Offer]:
    """Every file that participants may download in a stage, by name, in order of names."""
    found: dict[str, Offer] = {}
    for number in sorted(terms.stages):
        if int(number) > int(stage):
            break
        current: HostStage = terms.stages[number]
        for folder in current.files:
            found |= {offer.name: offer for offer in files_below(root / folder)}
        if current.labels is not None:
            found[current.labels] = Offer(current.labels, root / RELEASED / current.labels)
    return dict(sorted(found.items()))


def files_below(folder: Path) -> list[Offer]:
    """Every file in a folder, in order; hidden ones and links that lead out of it are left out."""
    inside = folder.resolve()
    return [
        Offer(path.relative_to(folder).as_posix(), path)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and path.resolve().is_relative_to(inside)
    ]


def wrapped(root: Path, offer: Offer) -> Path:
    """A file as it is handed out: large ones that are not packed yet stand alone in a zip, as at Kaggle."""
    if offer.size < WRAPPED_FROM or offer.name.lower().endswith(PACKED):
        return offer.path
    plain = offer.name.rpartition("/")[2]
    return archive(root, f"{plain}.zip", [Offer(plain, offer.path)])


def archive(root: Path, name: str, files: list[Offer]) -> Path:
    """A zip of some files, made once and kept for as long as none of them changes.

    Equal files make equal bytes, so that a download that was cut can go on.
    """
    state = [(item.name, item.path.stat().st_size, item.path.stat().st_mtime_ns) for item in files]
    digest = hashlib.sha256(repr(state).encode()).hexdigest()[:20]
    path = root / "state" / "cache" / digest / name
    if not path.exists():
        part = path.with_name(f".{uuid.uuid4().hex[:8]}.part")
        with told_when_unwritable(name):
            path.parent.mkdir(parents=True, exist_ok=True)
            with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as target:
                for item in files:
                    target.write(item.path, item.name)
            newest = max((item.path.stat().st_mtime for item in files), default=0)
            os.utime(part, (newest, newest))
            part.replace(path)
    return path


class Signer:
    """Makes and proves addresses of files in a host's folder.

    Args:
        root: The host's folder; its secret is made where there is none.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        secret = root / "state" / "secret"
        if not secret.exists():
            write_file(secret, secrets.token_hex(32))
            secret.chmod(0o600)
        self._secret = secret.read_text(encoding="utf-8").encode()

    def sign(self, path: Path, name: str = "") -> str:
        """The address of a file below the server's own, ending with its name."""
        inside = path.relative_to(self._root).as_posix()
        shown = name or path.name
        query = urlencode({"path": inside, "signature": self._signature(inside)})
        return f"/blobs/{quote(shown)}?{query}"

    def open(self, inside: str, signature: str) -> Path | None:
        """The file behind an address; None where the address was not made here, or the file is gone."""
        if not hmac.compare_digest(self._signature(inside).encode(), signature.encode()):
            return None
        path = self._root / inside
        return path if path.is_file() else None

    def _signature(self, inside: str) -> str:
        return hmac.new(self._secret, inside.encode(), hashlib.sha256).hexdigest()
