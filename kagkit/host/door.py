"""Ask a host through the kaggle client, which nothing else imports: silently, in time, no secret told."""

from __future__ import annotations

import importlib.util
import io
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import replace
from functools import cache, cached_property
from typing import Any, TypeVar
from urllib.parse import urlsplit

import requests

from kagkit.foundation.errors import HostError, Problem
from kagkit.host.answers import (
    CompetitionFacts,
    read_competition_facts,
)
from kagkit.host.credentials import ACCEPTED, Credentials, UnknownSenderError, find_credentials
from kagkit.host.patience import Patience, usual_patience
from kagkit.host.refusals import (
    RULES,
    TROUBLES,
    BusyHostError,
    RefusedHostError,
    UnclearHostError,
    UnreachableHostError,
    explain,
    scrub,
)
from kagkit.host.wire import LOOPBACK, PatientAdapter, refuse_strange_address

ENDPOINT = "KAGKIT_KAGGLE_ENDPOINT"
SERVICE = "competitions.CompetitionApiService"
FACTS = "asking for the competition"
Tell = Callable[[str], object]
T = TypeVar("T")


class _Body(dict[str, Any]):
    """What is asked, in the form the client takes."""

    def to_dict(self) -> dict[str, Any]:
        return dict(self)


class _Answer:
    """Takes an answer as the host wrote it: the client's own types stumble over a status they do not know."""

    @classmethod
    def prepare_from(cls, response: requests.Response) -> Any:
        return response.json()


@cache
def _client_class() -> type[Any]:
    """The client's class, without the package's own start, which prints, and asks with no time-out."""
    spec = importlib.util.find_spec("kaggle")
    if spec is None:
        hint = "pip install 'kaggle>=2.2.4,<3' six"
        raise HostError("the kaggle client is missing", [Problem("kaggle", "not installed", hint=hint)])
    sys.modules["kaggle"] = importlib.util.module_from_spec(spec)
    try:
        with redirect_stdout(io.StringIO()):
            from kaggle.api.kaggle_api_extended import KaggleApi
    except ImportError as error:
        # kaggle needs six and does not declare it.
        hint = "pip install --upgrade 'kaggle>=2.2.4,<3' six"
        raise HostError("the kaggle client is broken", [Problem("kaggle", str(error), hint=hint)]) from error
    finally:
        del sys.modules["kaggle"]
    found: type[Any] = KaggleApi
    return found


def _make_api(endpoint: str | None, patience: Patience) -> Any:
    """The client, bound to the endpoint, with a time-out on everything it asks."""

    class _Api(_client_class()):  # type: ignore[misc]
        already_printed_version_warning = True

        def build_kaggle_client(self) -> Any:
            client = super().build_kaggle_client()
            http = client.http_client()
            http._init_session()
            for scheme in ("http://", "https://"):
                http._session.mount(scheme, PatientAdapter(patience))
            if endpoint is not None:
                http._endpoint = endpoint
                http._session.trust_env = False
            return client

    return _Api()


def settle_endpoint(host: str) -> str | None:
    """Where requests go: None for Kaggle itself, else a host on this machine.

    Args:
        host: `kaggle`, or the address of a host on this machine, as competition.yaml says.

    Raises:
        HostError: There is no host, or the address is not on this machine.
    """
    told, where = os.environ.get(ENDPOINT) or host, ENDPOINT if os.environ.get(ENDPOINT) else "host"
    if told == "kaggle":
        return None
    if told == "none":
        hint = "write `host: kaggle` into competition.yaml if there is one"
        raise HostError("there is no host to ask", [Problem("competition.yaml", "host: none", hint=hint)])
    if urlsplit(told).hostname not in LOOPBACK:
        expected = "kaggle, or an address on this machine: http://127.0.0.1:8000"
        raise HostError("the host's address cannot be used", [Problem(where, told, expected)])
    return told.rstrip("/")


class Door:
    """The kaggle client, signed in, for one competition at its host.

    Every method raises a HostError where the host does not do what is asked: `RefusedHostError` and
    `BusyHostError` (nothing was done), `UnreachableHostError` (nothing was asked), `UnclearHostError`
    (it may have been done).

    Args:
        competition: The competition's name, as in its address; empty where none is asked about.
        host: `kaggle`, or the address of a host on this machine.
        patience: How long to wait for what.
        tell: Called with a line for people, where there is a wait.

    Attributes:
        credentials: Which credential is sent; the credential itself is never told.
    """

    def __init__(
        self,
        competition: str,
        host: str = "kaggle",
        *,
        patience: Patience | None = None,
        tell: Tell = lambda line: None,
    ) -> None:
        self.competition = competition
        self.patience = patience or usual_patience()
        self.tell = tell
        self._endpoint = settle_endpoint(host)
        self.credentials = find_credentials(loopback=self.loopback)

    @property
    def loopback(self) -> bool:
        """Whether the host is on this machine."""
        return self._endpoint is not None

    @property
    def place(self) -> str:
        """Where the host is, for the ledger: a rehearsal's numbers are not those of Kaggle."""
        return "loopback" if self.loopback else "kaggle"

    def scrubbed(self, text: str) -> str:
        """A text of the host's, without a secret in it."""
        return scrub(text, self.credentials.secrets)

    def facts(self) -> CompetitionFacts:
        """What the host says of the competition."""
        body = {"competitionName": self.competition}
        return self.read(FACTS, "GetCompetition", body, read_competition_facts)

    def ask(self, doing: str, method: str, body: Mapping[str, Any], read: Callable[[dict[str, Any]], T]) -> T:
        """Ask once.

        Args:
            doing: What is done, in words.
            method: The method of Kaggle's service for competitions; another service's name goes before it.
            body: What it takes.
            read: Makes of the answer what is returned; an answer it stumbles over is none.
        """
        with self._client(doing) as client:
            service, _, name = method.rpartition("/")
            answer = client.call(service or SERVICE, name, _Body(body), _Answer)
            if not isinstance(answer, dict):
                raise TypeError(f"the answer is a {type(answer).__name__}")
            return read(answer)

    def read(
        self, doing: str, method: str, body: Mapping[str, Any], read: Callable[[dict[str, Any]], T]
    ) -> T:
        """Ask what changes nothing: again after a while where the host or the network fails."""
        return self._again(lambda: self.ask(doing, method, body, read))

    def wait_out(self, busy: BusyHostError, left: float) -> float:
        """Wait as long as a busy host asks; how many of the seconds for it are left then.

        Raises:
            BusyHostError: It asks for more than is left.
        """
        shortest, longest = self.patience.pauses[0], self.patience.pauses[-1]
        wait = max(busy.wait if busy.wait is not None else 10 * longest, shortest)
        if wait > left:
            raise busy
        self.tell(f"the host is busy; asking again in {wait:.0f} s")
        time.sleep(wait)
        return left - wait

    def _again(self, ask: Callable[[], T]) -> T:
        pauses, left = iter(self.patience.pauses), self.patience.busy
        while True:
            try:
                return ask()
            except BusyHostError as busy:
                left = self.wait_out(busy, left)
            except (UnclearHostError, UnreachableHostError) as error:
                pause = next(pauses, None)
                if pause is None:
                    raise
                if self.loopback and isinstance(error, UnreachableHostError):
                    pauses = iter(())  # on this machine a second refusal is certain
                self.tell(f"{error.summary}; asking again in {pause:.0f} s")
                time.sleep(pause)

    @contextmanager
    def download(self, doing: str, method: str) -> Iterator[requests.Response]:
        """A file: the answer, its body not read yet."""
        with self._client(doing) as client:
            from kagglesdk.common.types.http_redirect import HttpRedirect

            body = _Body(competitionName=self.competition)
            with client.call(SERVICE, method, body, HttpRedirect) as response:
                refuse_strange_address(response.url, loopback=self.loopback)
                yield response

    @contextmanager
    def _client(self, doing: str) -> Iterator[Any]:
        api = self._api
        try:
            with redirect_stdout(io.StringIO()), api.build_kaggle_client() as client:
                yield client.http_client()
        except TROUBLES as error:
            raise self._explained(error, doing) from error

    @cached_property
    def _api(self) -> Any:
        """The client, signed in."""
        self.credentials.refuse_dangers()
        api = _make_api(self._endpoint, self.patience)
        try:
            with redirect_stdout(io.StringIO()):
                self._again(lambda: self._sign_in(api))
        except TROUBLES as error:
            raise self._explained(error, "signing in") from error
        return api

    def _sign_in(self, api: Any) -> None:
        credentials = self.credentials
        try:
            api.authenticate()
        except SystemExit:
            found = "the host does not accept it" if credentials.source else "no credentials were found"
            raise credentials.refusal(found) from None
        except TROUBLES as error:
            raise explain(error, "signing in", credentials.secrets, self._endpoint) from error
        method = str(api.config_values.get(api.CONFIG_NAME_AUTH_METHOD, ""))
        if credentials.token and method == "LEGACY_API_KEY":
            # The client falls back to the key here, and goes on sending the token.
            raise credentials.refusal("the host does not accept it")

    def _explained(self, error: Exception, doing: str) -> HostError:
        told = explain(error, doing, self.credentials.secrets, self._endpoint)
        if not isinstance(told, RefusedHostError) or told.status not in (401, 403, 404):
            return told
        found = told.problems[0].found
        if told.status == 401:
            return self.credentials.refusal(found)
        if not self.competition:
            return told
        if doing == FACTS:
            hint = "compare `competition:` in competition.yaml with the address of the competition's page"
            problem = Problem(f"competition {self.competition}", f"no such competition ({found})", hint=hint)
            return RefusedHostError(told.summary, [problem], told.status)
        return self._explain_forbidden(told, doing)

    def _explain_forbidden(self, told: RefusedHostError, doing: str) -> HostError:
        """What a 403 or 404 means depends on the competition: is it there, were its rules accepted?"""
        try:
            facts = self.facts()
        except RefusedHostError as error:
            return error
        except HostError:
            return told
        found, hint = told.problems[0].found, told.problems[0].hint
        rules = RULES.format(self.competition)
        if "notebook" in doing:
            hint = "is it OWNER/NOTEBOOK as in its address, is it yours, and is the version there?"
        elif not facts.entered:
            hint = f"accept the rules, then run the same command again: {rules}"
        elif told.status == 403:
            hint = f"is the phone number verified, and are the rules accepted? {rules}"
        if facts.deadline is not None:
            hint += f"; the deadline is {facts.deadline:%Y-%m-%d %H:%M} UTC"
        problem = Problem(f"competition {self.competition}", found, hint=hint)
        return RefusedHostError(told.summary, [problem], told.status)


def credential_facts(*, ask: bool = False) -> Credentials:
    """Which credential would be sent, and what is wrong with it, without telling the credential.

    Args:
        ask: Ask the host, too, whether it accepts the credential.

    Example:
        >>> credential_facts().answer
        ''
    """
    try:
        door = Door("")
    except HostError as error:
        found = find_credentials()
        return replace(found, problems=(*found.problems, *found.dangers, *error.problems))
    found = door.credentials
    problems, answer = [*found.problems, *found.dangers], ""
    if found.source is None:
        problems.append(Problem("credentials", "none were found", hint=found.remedy))
    elif ask and not found.dangers:
        answer, faults = _ask_about_sender(door)
        problems += [problem for problem in faults if problem not in problems]
    return replace(found, problems=tuple(problems), answer=answer)


def _ask_about_sender(door: Door) -> tuple[str, tuple[Problem, ...]]:
    """What a host says of who asks, in words, and what is wrong: a list of one competition needs a sender."""
    try:
        door.ask("asking who is signed in", "ListCompetitions", {"pageSize": 1}, dict)
    except UnknownSenderError as error:
        return "not accepted by the host", tuple(error.problems)
    except UnreachableHostError as error:
        return "the host was not reached", tuple(error.problems)
    except HostError as error:
        return "not known whether the host accepts it", tuple(error.problems)
    return ACCEPTED, ()
