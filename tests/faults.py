"""A proxy before a host that fails as hosts and networks do, each planned fault so many times."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal

Act = Literal[
    "answer",  # in place of the host
    "drop",  # the connection, before the host sees anything
    "accept and drop",  # let the host do it, and say nothing
    "hang",  # say nothing, and let the host do nothing
    "accept and hang",
    "cut",  # the answer's body, after so many bytes
    "trickle",  # the answer's body, byte by byte, or so many bytes of it
    "cut upload",  # the request's body, after so many bytes
    "skew",  # the clock in the answer's head
]
LONG = 8.0


@dataclass
class Fault:
    """What goes wrong with the next requests whose path fits.

    Attributes:
        path: A regular expression for a part of the request's path.
        act: What happens.
        status: The status of `answer`.
        body: The body of `answer`.
        after: The bytes that pass before a cut.
        times: How often.
    """

    path: str
    act: Act
    status: int = 500
    body: bytes = b""
    kind: str = "application/json"
    after: int = 0
    times: int = 1
    headers: dict[str, str] = field(default_factory=dict)


def refusal(path: str, status: int, message: str = "no", shape: str = "flat", **more: object) -> Fault:
    """An answer with an error, in one of the shapes that hosts have: flat, nested, html."""
    told = {"code": status, "message": message}
    shapes = {
        "flat": (json.dumps(told), "application/json"),
        "nested": (json.dumps({"error": told}), "application/json"),
        "html": (f"<html><title>{message}</title></html>", "text/html"),
    }
    body, kind = shapes[shape]
    return Fault(path, "answer", status, body.encode(), kind, **more)  # type: ignore[arg-type]


class Proxy:
    """Passes requests to a host on this machine, with the planned faults.

    Attributes:
        plan: The faults to come; the first that fits a request is the one that happens.
        seen: The path of every request, in order.
        watch: Called with the path and `before` or `after` the host has seen a request.
    """

    def __init__(self, upstream: int) -> None:
        self.upstream = upstream
        self.plan: list[Fault] = []
        self.seen: list[str] = []
        self.watch: Callable[[str, str], object] = lambda path, phase: None
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def calls(self, method: str) -> int:
        """How often a method was asked for."""
        return sum(method in path for path in self.seen)

    def close(self) -> None:
        """Take no more connections, and end what hangs."""
        self._closing.set()
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()

    def _serve(self) -> None:
        while not self._closing.is_set():
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._handle, args=(client,), daemon=True).start()

    def _handle(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError, ValueError):
            client.settimeout(LONG)
            head = _head_of(client)
            path = head.split(b" ", 2)[1].decode()
            with self._lock:
                self.seen.append(path)
                fault = next((item for item in self.plan if re.search(item.path, path)), None)
                if fault is not None:
                    fault.times -= 1
                    if not fault.times:
                        self.plan.remove(fault)
            self.watch(path, "before")
            self._answer(client, head, fault)
            self.watch(path, "after")

    def _answer(self, client: socket.socket, head: bytes, fault: Fault | None) -> None:
        act = fault.act if fault is not None else "pass"
        if fault is None or act not in ("drop", "hang", "answer", "cut upload"):
            answer = self._ask(head, _pieces(client, head, None))
            if act in ("accept and drop", "accept and hang"):
                self._wait(LONG if act == "accept and hang" else 0)
            else:
                self._reply(client, answer, fault)
        elif act == "cut upload":
            with socket.create_connection(("127.0.0.1", self.upstream), timeout=LONG) as host:
                host.sendall(head)
                for piece in _pieces(client, head, fault.after):
                    host.sendall(piece)
        elif act == "hang":
            self._wait(LONG)
        elif act == "answer":
            for _ in _pieces(client, head, None):
                pass
            more = "".join(f"{name}: {value}\r\n" for name, value in fault.headers.items())
            line = f"HTTP/1.1 {fault.status} Planned\r\nContent-Type: {fault.kind}\r\n{more}"
            line += f"Content-Length: {len(fault.body)}\r\nConnection: close\r\n\r\n"
            client.sendall(line.encode() + fault.body)

    def _wait(self, seconds: float) -> None:
        self._closing.wait(seconds)

    def _ask(self, head: bytes, body: Iterator[bytes]) -> bytes:
        """What the host answers; a host that is away answers nothing."""
        with socket.create_connection(("127.0.0.1", self.upstream), timeout=LONG) as host:
            host.sendall(
                re.sub(rb"(?i)\r\nconnection: [^\r]*", b"", head)[:-2] + b"Connection: close\r\n\r\n"
            )
            for piece in body:
                host.sendall(piece)
            pieces = []
            while piece := host.recv(1 << 16):
                pieces.append(piece)
        return self._led_here(b"".join(pieces))

    def _led_here(self, answer: bytes) -> bytes:
        """An answer whose addresses lead through this proxy, too."""
        head, gap, body = answer.partition(b"\r\n\r\n")
        theirs, ours = f":{self.upstream}/".encode(), f":{self.port}/".encode()
        if theirs in body and b"json" in head:
            body = body.replace(theirs, ours)
            head = re.sub(rb"(?i)(\r\ncontent-length: )\d+", rb"\g<1>%d" % len(body), head)
        return head.replace(theirs, ours) + gap + body

    def _reply(self, client: socket.socket, answer: bytes, fault: Fault | None) -> None:
        head, gap, body = answer.partition(b"\r\n\r\n")
        if fault is not None and fault.act == "skew":
            head = re.sub(rb"(?i)\r\ndate: [^\r]*", b"\r\ndate: Fri, 01 Jan 2038 00:00:00 GMT", head)
        client.sendall(head + gap)
        if fault is not None and fault.act == "trickle":
            slow = fault.after or len(body)
            for place in range(slow):
                if self._closing.wait(0.02):
                    return
                client.sendall(body[place : place + 1])
            client.sendall(body[slow:])
        else:
            client.sendall(body[: fault.after] if fault is not None and fault.act == "cut" else body)


def _head_of(client: socket.socket) -> bytes:
    """A request's head, read to its last byte and not further."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = client.recv(1)
        if not byte:
            raise ValueError("no request")
        head += byte
    if b"expect: 100-continue" in head.lower():
        client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    return head


def _pieces(client: socket.socket, head: bytes, limit: int | None) -> Iterator[bytes]:
    """A request's body as it comes, or only so many bytes of it."""
    match = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
    left = int(match[1]) if match else 0
    if limit is not None:
        left = min(left, limit)
    while left > 0:
        piece = client.recv(min(left, 1 << 16))
        if not piece:
            return
        left -= len(piece)
        yield piece
    if limit is not None:
        time.sleep(0.05)
