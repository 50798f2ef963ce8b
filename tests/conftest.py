from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest

from tests.served import PROXIES, SECRETS, Served, serve

LOOPBACK = ("127.0.0.1", "::1", "localhost")


class NetworkRefusedError(RuntimeError):
    """A test tried to leave this machine; no OSError, which code may take for bad luck and try again."""


@pytest.fixture(scope="session", autouse=True)
def no_network() -> Iterator[None]:
    """Let sockets reach this machine only."""
    connects = {name: getattr(socket.socket, name) for name in ("connect", "connect_ex")}

    def guarded(name: str) -> Any:
        def connect(self: socket.socket, address: Any) -> Any:
            if self.family != socket.AF_UNIX and address[0] not in LOOPBACK:
                raise NetworkRefusedError(f"a test may not connect to {address[0]}")
            return connects[name](self, address)

        return connect

    with pytest.MonkeyPatch.context() as patch:
        for name in connects:
            patch.setattr(socket.socket, name, guarded(name))
        yield


@pytest.fixture(scope="session", autouse=True)
def no_mirror_in_the_background() -> Iterator[None]:
    """No test leaves a process behind; the tests of the mirror start it themselves."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KAGKIT_NO_MIRROR", "1")
        yield


@pytest.fixture(scope="session")
def hosted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A competition that is really hosted, behind a proxy that can fail."""
    with serve(tmp_path_factory.mktemp("hosted")) as served:
        yield served


@pytest.fixture
def host(hosted: Served, monkeypatch: pytest.MonkeyPatch) -> Served:
    """That competition, with nothing planned to fail, as the one this process asks."""
    hosted.proxy.plan.clear()
    hosted.proxy.seen.clear()
    hosted.proxy.watch = lambda path, phase: None
    for name in (*SECRETS, *PROXIES):
        monkeypatch.delenv(name, raising=False)
    for name, value in hosted.variables.items():
        monkeypatch.setenv(name, value)
    return hosted
