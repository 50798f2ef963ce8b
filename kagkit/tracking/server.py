"""Serve MLflow's pages to this machine alone: one process, which dies with the command that started it."""

from __future__ import annotations

import json
import os
import socket
import time
import urllib.request
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from kagkit.engine.jobs import Finished, Job
from kagkit.engine.local import ExecEngine
from kagkit.foundation.errors import Problem, RunError
from kagkit.foundation.files import canonical_json
from kagkit.runs.failing import scrub_log
from kagkit.tracking.database import ARTIFACTS, folder_of, settle_environment
from kagkit.tracking.store import Store
from kagkit.workspace.layout import Workspace

HOST = "127.0.0.1"
LOG = "server.txt"
JOB = "MLflow's server"
READY_SECONDS = 120.0
GLANCE_SECONDS = 0.2


class PageServer:
    """A server that is starting or running.

    Attributes:
        url: Where it is.
    """

    def __init__(self, engine: ExecEngine, port: int) -> None:
        self.url = f"http://{HOST}:{port}"
        self._engine = engine

    def wait_until_ready(self) -> None:
        """Return once pages are served.

        Raises:
            RunError: The server ended, or needs longer than two minutes.
        """
        deadline = time.monotonic() + READY_SECONDS
        while not _answers(f"{self.url}/health"):
            self._refuse_end()
            if time.monotonic() > deadline:
                raise _no_server(f"no answer within {READY_SECONDS:.0f} s")
            time.sleep(GLANCE_SECONDS)

    def wait_until_ended(self) -> None:
        """Wait for ever: the server ends with the `with` block, by Ctrl-C for instance.

        Raises:
            RunError: The server ended by itself.
        """
        while True:
            self._refuse_end()
            time.sleep(GLANCE_SECONDS)

    def _refuse_end(self) -> None:
        for finished in self._engine.poll(0.0):
            raise _no_server(_ending(finished))


@contextmanager
def serving(workspace: Workspace, store: Store, port: int | None = None) -> Iterator[PageServer]:
    """Serve the pages of a store on 127.0.0.1 while the block runs.

    Args:
        workspace: The workspace; the server's log is `.kagkit/mlflow/server.txt`.
        store: An SQLite store, made already.
        port: The port; any free one where None.

    Raises:
        RunError: The port is taken.
    """
    folder = folder_of(workspace)
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / LOG
    log.write_text("")
    chosen = _free_port(port)
    told = {"uri": store.uri, "artifacts": str(folder / "artifacts"), "port": chosen}
    try:
        with ExecEngine({}, folder) as engine:
            engine.start(Job(JOB, "kagkit.tracking.server:serve_pages", canonical_json(told), log, {}))
            yield PageServer(engine, chosen)
    finally:
        scrub_log(log, workspace.root)


def serve_pages(argument: str) -> int:
    """Serve pages until this process is ended; the entry that the engine starts.

    MLflow's own command would start a second process for the same, take twice the time and memory, and
    leave one behind when it is killed.

    Args:
        argument: As JSON: `uri` of the store, the folder of `artifacts`, `port`.
    """
    told = json.loads(argument)
    for name in [name for name in os.environ if "MLFLOW" in name]:
        del os.environ[name]  # what is set for another server could open this one to the network
    settle_environment()
    from mlflow.server import constants

    os.environ |= {
        constants.BACKEND_STORE_URI_ENV_VAR: told["uri"],
        constants.REGISTRY_STORE_URI_ENV_VAR: told["uri"],
        constants.ARTIFACT_ROOT_ENV_VAR: ARTIFACTS,
        constants.ARTIFACTS_DESTINATION_ENV_VAR: told["artifacts"],
        constants.SERVE_ARTIFACTS_ENV_VAR: "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    import uvicorn

    warnings.simplefilter("ignore")  # those of MLflow's own code are not the user's to mend
    uvicorn.run(
        "mlflow.server.fastapi_app:app",
        host=HOST,
        port=told["port"],
        log_level="warning",
        timeout_graceful_shutdown=1,
    )
    return 0


def _free_port(wanted: int | None) -> int:
    """A port nobody listens on.

    Raises:
        RunError: The one that is wanted is taken.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, wanted or 0))
        except OSError as error:
            hint = "leave --port out for a free one"
            raise RunError(
                f"port {wanted} cannot be used", [Problem(f"--port {wanted}", f"{error.strerror}", hint=hint)]
            ) from None
        return int(probe.getsockname()[1])


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=GLANCE_SECONDS * 10) as answer:  # noqa: S310 (our own)
            return bool(answer.status == 200)
    except OSError:
        return False


def _ending(finished: Finished) -> str:
    if finished.signal is not None:
        return f"it was ended by signal {finished.signal}"
    return f"it ended with exit code {finished.code}"


def _no_server(found: str) -> RunError:
    return RunError(
        "MLflow's pages cannot be shown", [Problem(JOB, found, hint=f"read .kagkit/mlflow/{LOG}")]
    )
