"""Serve a competition to the kaggle client and its boards to browsers, on loopback unless told otherwise."""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import re
import signal
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from kagkit.foundation.errors import HostError, Problem
from kagkit.host import competitions, datasets, kernels, pages, submissions
from kagkit.host.accounts import owner_of, read_basic, sender_of
from kagkit.host.hosted import Attachment, Caller, Hosted, Redirect, RefusalError, text_of
from kagkit.host.scorer import Scorer
from kagkit.host.terms import Terms
from kagkit.host.uploads import Incoming, read_range
from kagkit.runs.failing import scrub_log

LOOPBACK = "127.0.0.1"
LARGEST_REQUEST = 64 << 20
ABSOLUTE = re.compile(r"https?://[^/]*")
Method = Callable[[Hosted, Caller, dict[str, Any]], Any]
METHODS: dict[str, Method] = {
    "competitions.CompetitionApiService/GetCompetition": competitions.get_competition,
    "competitions.CompetitionApiService/ListCompetitions": competitions.list_competitions,
    "competitions.CompetitionApiService/ListDataFiles": competitions.list_files,
    "competitions.CompetitionApiService/ListDataTreeFiles": competitions.list_tree,
    "competitions.CompetitionApiService/DownloadDataFile": competitions.download_file,
    "competitions.CompetitionApiService/DownloadDataFiles": competitions.download_all,
    "competitions.CompetitionApiService/StartSubmissionUpload": submissions.start_submission,
    "competitions.CompetitionApiService/CreateSubmission": submissions.create_submission,
    "competitions.CompetitionApiService/CreateCodeSubmission": submissions.create_code_submission,
    "competitions.CompetitionApiService/ListSubmissions": submissions.list_submissions,
    "competitions.CompetitionApiService/GetSubmission": submissions.get_submission,
    "competitions.CompetitionApiService/DownloadSubmission": submissions.download_submission,
    "competitions.CompetitionApiService/GetSubmissionLimits": submissions.get_limits,
    "competitions.CompetitionApiService/GetLeaderboard": competitions.get_leaderboard,
    "competitions.CompetitionApiService/DownloadLeaderboard": competitions.download_leaderboard,
    "blobs.BlobApiService/StartBlobUpload": datasets.start_blob,
    "datasets.DatasetApiService/CreateDataset": datasets.create_dataset,
    "datasets.DatasetApiService/CreateDatasetVersion": datasets.create_version,
    "datasets.DatasetApiService/GetDatasetStatus": datasets.get_status,
    "datasets.DatasetApiService/GetDataset": datasets.get_dataset,
    "datasets.DatasetApiService/GetDatasetMetadata": datasets.get_metadata,
    "datasets.DatasetApiService/ListDatasetFiles": datasets.list_files,
    "datasets.DatasetApiService/DownloadDataset": datasets.download,
    "kernels.KernelsApiService/SaveKernel": kernels.save_kernel,
    "kernels.KernelsApiService/GetKernelSessionStatus": kernels.get_status,
    "kernels.KernelsApiService/ListKernelSessionOutput": kernels.list_output,
}


def make_app(host: Hosted, token: str | None = None) -> ASGIApp:
    """The web application of a hosted competition.

    Args:
        host: The competition.
        token: What every request must carry, as the password of a proxy or as `?token=`; None on loopback.
    """
    site = _Site(host)

    @asynccontextmanager
    async def scoring(_: Starlette) -> AsyncIterator[None]:
        scorer = Scorer(host.register)
        scorer.start()
        yield
        await run_in_threadpool(scorer.stop)

    routes = [
        Route("/", site.page),
        Route("/competitions/{slug}", site.page),
        Route("/c/{slug}/leaderboard", site.page),
        Route("/blobs/{name:path}", site.blob, methods=["GET"]),
        Route("/uploads/{token}", site.upload, methods=["PUT"]),
        Route("/v1/{service}/{method}", site.call, methods=["POST"]),
        Route("/api/v1/{service}/{method}", site.call, methods=["POST"]),
    ]
    handlers: Any = {HTTPException: _refuse, RefusalError: _refuse, Exception: _fail}
    app = Starlette(routes=routes, exception_handlers=handlers, lifespan=scoring)
    return _Gate(app, token)


class _Site:
    """What is behind each address."""

    def __init__(self, host: Hosted) -> None:
        self._host = host
        self._sending: dict[str, asyncio.Lock] = {}

    def page(self, request: Request) -> Response:
        """The leaderboard, for people."""
        slug = request.path_params.get("slug", self._host.terms.competition)
        if slug != self._host.terms.competition:
            raise HTTPException(404, "no such competition")
        return HTMLResponse(pages.draw_board(self._host), headers=pages.HEADERS)

    def blob(self, request: Request) -> Response:
        """A file, or a range of it, for whoever knows its signed address."""
        query = request.query_params
        path = self._host.signer.open(query.get("path", ""), query.get("signature", ""))
        if path is None:
            raise HTTPException(404, "no such file")
        return FileResponse(path, stat_result=path.stat(), media_type="application/octet-stream")

    async def upload(self, request: Request) -> Response:
        """Bytes of a promised file: all, some, or none where it is asked how many are here."""
        token = request.path_params["token"]
        events = await run_in_threadpool(lambda: self._host.register.events)
        promised = events.uploads.get(token)
        if promised is None:
            raise HTTPException(404, "no such upload")
        incoming = Incoming(self._host.root, promised)
        try:
            start = read_range(request.headers.get("content-range", ""), promised.size)
        except ValueError as error:
            raise HTTPException(400, str(error)) from error
        # A client that was cut off sends again while its first try may still be read.
        async with self._sending.setdefault(token, asyncio.Lock()):
            return await self._receive(request, incoming, start)

    async def _receive(self, request: Request, incoming: Incoming, start: int | None) -> Response:
        if await run_in_threadpool(incoming.finish):
            return JSONResponse({})
        if start is not None and await run_in_threadpool(incoming.begin, start):
            try:
                async for chunk in request.stream():
                    if chunk and not await run_in_threadpool(incoming.add, chunk):
                        raise HTTPException(400, "more bytes than announced")
            except ClientDisconnect:
                return Response(status_code=499)  # nobody reads it; what came is kept
        if await run_in_threadpool(incoming.finish):
            self._sending.pop(incoming.upload.token, None)
            return JSONResponse({})
        received = incoming.received
        return Response(status_code=308, headers={"Range": f"bytes=0-{received - 1}"} if received else {})

    async def call(self, request: Request) -> Response:
        """One method of Kaggle's API."""
        name = f"{request.path_params['service']}/{request.path_params['method']}"
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > LARGEST_REQUEST:
                raise RefusalError(413, "the request is too large")
        return await run_in_threadpool(self._answer, request, name, body)

    def _answer(self, request: Request, name: str, body: bytes) -> Response:
        try:
            asked = json.loads(body or b"{}")
        except ValueError:
            raise RefusalError(400, "the request is not JSON") from None
        if not isinstance(asked, dict):
            raise RefusalError(400, "the request is not a JSON object")
        if name == "security.OAuthService/IntrospectToken":
            return JSONResponse(self._introspect(asked))
        method = METHODS.get(name)
        if method is None:
            raise RefusalError(404, f"{name}: this host has no such method")
        user = sender_of(self._host.terms, request.headers.get("authorization", ""))
        if user is None:
            raise RefusalError(401, "Unauthorized")
        caller = _caller(request, user)
        answer = method(self._host, caller, asked)
        if isinstance(answer, Redirect):
            return RedirectResponse(f"{caller.blobs}{answer.path}", 302)
        if isinstance(answer, Attachment):
            disposition = {"Content-Disposition": f'attachment; filename="{answer.name}"'}
            return Response(answer.content, media_type="application/zip", headers=disposition)
        return JSONResponse(answer)

    def _introspect(self, asked: dict[str, Any]) -> dict[str, Any]:
        user = owner_of(self._host.terms, text_of(asked, "token"))
        if user is None:
            return {"active": False}
        return {"active": True, "username": user, "scope": "", "clientId": "kagkit"}


def _caller(request: Request, user: str) -> Caller:
    """How this server is called: by a name on loopback other than the API's, elsewhere by its address."""
    address, port = request.scope["server"]
    named = request.url.hostname
    if address == LOOPBACK:
        address = "localhost" if named == LOOPBACK else LOOPBACK
    shown = f"[{address}]" if ":" in address else address
    base = LOOPBACK if address == "localhost" else shown
    return Caller(user, f"http://{base}:{port}", f"http://{shown}:{port}")


def _refuse(request: Request, error: Exception) -> Response:
    """A refusal in Kaggle's shape, on pages in words."""
    status = error.status if isinstance(error, RefusalError) else getattr(error, "status_code", 500)
    message = error.summary if isinstance(error, RefusalError) else str(getattr(error, "detail", ""))
    return JSONResponse({"code": status, "message": message}, status)


def _fail(request: Request, error: Exception) -> Response:
    """A fault of the host's; its cause stays in the host's log."""
    return JSONResponse({"code": 500, "message": "Internal server error"}, 500)


class _Gate:
    """Reads the whole addresses that clients send to a proxy, and asks for the token where there is one."""

    def __init__(self, app: ASGIApp, token: str | None) -> None:
        self._app = app
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            for name in ("path", "raw_path"):
                plain = scope[name] if isinstance(scope[name], str) else scope[name].decode("latin-1")
                plain = ABSOLUTE.sub("", plain, count=1) or "/"
                scope[name] = plain if isinstance(scope[name], str) else plain.encode("latin-1")
            if not self._lets_in(Request(scope)):
                refusal = JSONResponse({"code": 407, "message": "this host asks for its token"}, 407)
                await refusal(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _lets_in(self, request: Request) -> bool:
        if self._token is None:
            return True
        _, password = read_basic(request.headers.get("proxy-authorization", ""))
        given = password or request.query_params.get("token", "")
        return hmac.compare_digest(given.encode(), self._token.encode())


def open_socket(address: str, port: int, token: str | None) -> socket.socket:
    """Listen, on loopback unless there is a token.

    Raises:
        HostError: The address is another one and there is no token, or it cannot be listened on.
    """
    if address != LOOPBACK and not token:
        hint = "choose a secret of your own: --bind ADDRESS --token TOKEN"
        problem = Problem("--bind", f"{address} is more than this machine", "a token too", hint)
        raise HostError("a host that others can reach needs a token", [problem])
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((address, port))
    except OSError as error:
        listening.close()
        problem = Problem(f"{address}:{port}", str(error.strerror), hint="--port 0 finds a free one")
        raise HostError("the host cannot listen", [problem]) from error
    listening.listen(128)
    return listening


def run_server(
    root: Path, terms: Terms, listening: socket.socket, ready: Callable[[], None], token: str | None
) -> None:
    """Serve until SIGINT or SIGTERM.

    Args:
        root: The host's folder.
        terms: The competition.
        listening: Where to listen.
        ready: Called once requests are answered.
        token: What every request must carry; None on loopback.
    """
    host = Hosted.of(root, terms)
    log = root / "state" / "host.log"
    scrub_log(log, root)
    logging.basicConfig(filename=log, level=logging.WARNING)
    config = uvicorn.Config(make_app(host, token), log_config=None, access_log=False, lifespan="on")
    server = _Announcing(config, ready)
    for number in (signal.SIGINT, signal.SIGTERM):
        # uvicorn ends in peace at either, then raises it again for whoever was there before it: nobody.
        signal.signal(number, lambda *_: None)
    server.run(sockets=[listening])
    scrub_log(log, root)


class _Announcing(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._ready()
