"""Carry requests with a limit to every wait, answers whole or not at all, go on with broken uploads."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter

from kagkit.foundation.errors import HostError, Problem
from kagkit.host.patience import Patience
from kagkit.host.refusals import TROUBLES, explain

LOOPBACK = ("127.0.0.1", "localhost", "::1")
PIECE = 1 << 16


class PatientAdapter(HTTPAdapter):
    """Sends with time-outs where the client has none; an answer that trickles is cut off as well."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        super().__init__()

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: Any = True,
        cert: Any = None,
        proxies: Any = None,
    ) -> requests.Response:
        """Send a request; read its whole answer within the time for answers unless it is streamed."""
        waits = timeout or (self._patience.connect, self._patience.silence)
        response = super().send(request, True, waits, verify, cert, proxies)
        if not stream:
            _read_whole(response, time.monotonic() + self._patience.answer)
        return response


def _read_whole(response: requests.Response, deadline: float) -> None:
    pieces = bytearray()
    try:
        while piece := response.raw.read1(PIECE, decode_content=True):
            pieces += piece
            if time.monotonic() > deadline:
                raise requests.exceptions.ReadTimeout("the answer took too long")
        length = response.headers.get("Content-Length", "")
        encoded = response.headers.get("Content-Encoding")
        if length.isdigit() and not encoded and len(pieces) < int(length):
            raise requests.exceptions.ChunkedEncodingError(f"{len(pieces)} of {length} bytes came")
    finally:
        response.raw.close()
        response.raw.release_conn()
    # As requests does it itself when it has read an answer.
    response._content = bytes(pieces)
    response._content_consumed = True


def storage_session(patience: Patience, *, loopback: bool) -> requests.Session:
    """A session for a host's storage: with time-outs, and without credentials."""
    session = requests.Session()
    session.trust_env = not loopback
    for scheme in ("http://", "https://"):
        session.mount(scheme, PatientAdapter(patience))
    return session


def refuse_strange_address(url: str, *, loopback: bool) -> None:
    """Let data go only over https, or nowhere but this machine where the host is on this machine.

    Raises:
        HostError: The address is another one.
    """
    parts = urlsplit(url)
    good = parts.hostname in LOOPBACK if loopback else parts.scheme == "https"
    if not good:
        found = f"{parts.scheme}://{parts.hostname}"
        expected = "an address on this machine" if loopback else "an https address"
        raise HostError("the host named a strange address", [Problem("address", found, expected)])


class _Hurried(io.FileIO):
    """A file that can be read until a deadline."""

    deadline = float("inf")

    def read(self, size: int | None = -1, /) -> bytes:
        if time.monotonic() > self.deadline:
            raise requests.exceptions.Timeout("the upload took too long")
        return super().read(PIECE if size is None or size < 0 else min(size, PIECE)) or b""


def put_file(url: str, path: Path, patience: Patience, *, loopback: bool) -> None:
    """Upload a file to an address of the host's storage; go on where a broken upload broke.

    Uploading submits nothing, so it may be tried again.

    Raises:
        HostError: It did not succeed within the tries or the time; what happened last.
    """
    refuse_strange_address(url, loopback=loopback)
    deadline = time.monotonic() + patience.upload
    size, start = path.stat().st_size, 0
    last = HostError("uploading took too long", [Problem("upload", f"over {patience.upload:.0f} s")])
    for number, pause in enumerate((0.0, *patience.pauses)):
        time.sleep(pause)
        if time.monotonic() > deadline:
            break
        with storage_session(patience, loopback=loopback) as session:
            try:
                start = _already_there(session, url, size) if number else 0
                if (number and start == size) or _put(session, url, path, start, deadline):
                    return
                last = HostError("uploading: not taken whole", [Problem("upload", "only a part arrived")])
            except TROUBLES as error:
                last = explain(error, "uploading")
    raise last


def _put(session: requests.Session, url: str, path: Path, start: int, deadline: float) -> bool:
    """Send a file from a byte on; whether the storage has it whole."""
    size = path.stat().st_size
    headers = {"Content-Length": str(size - start)}
    if start:
        headers["Content-Range"] = f"bytes {start}-{size - 1}/{size}"
    if size == start:
        return _whole(session.put(url, data=b"", headers=headers))
    with _Hurried(path) as stream:
        stream.deadline = deadline
        stream.seek(start)
        return _whole(session.put(url, data=stream, headers=headers))


def _already_there(session: requests.Session, url: str, size: int) -> int:
    """How many bytes of an upload the storage holds."""
    response = session.put(url, headers={"Content-Length": "0", "Content-Range": f"bytes */{size}"})
    if _whole(response):
        return size
    last = response.headers.get("Range", "").rpartition("-")[2]
    return min(int(last) + 1, size) if last.isdigit() else 0


def _whole(response: requests.Response) -> bool:
    """Whether an upload is finished; False where a part is missing.

    Raises:
        HTTPError: It failed.
    """
    if response.status_code == 308:
        return False
    response.raise_for_status()
    return True


def stream_into(response: requests.Response, write: Callable[[bytes], object]) -> None:
    """Write an answer's body as it comes, as it was sent."""
    try:
        while piece := response.raw.read1(PIECE, decode_content=False):
            write(piece)
    finally:
        with suppress(OSError):
            response.close()
