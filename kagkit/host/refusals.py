"""Turn what a host or the network answers into one error that says what to do, with no secret in it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from html import unescape
from pathlib import Path
from typing import Any

import requests
from requests.exceptions import ConnectionError as RequestsConnectionError
from requests.exceptions import ConnectTimeout, RequestException
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError

from kagkit.foundation.errors import HostError, Problem

RULES = "https://www.kaggle.com/competitions/{}/rules"
AGAIN = "run the same command again"
SHOWN = 300
_HINTS = {
    400: "have you joined the competition, and are submissions left today?",
    404: "a wrong name, a file, notebook or version that is not there, or a deadline that has passed",
    413: "the file is larger than the host takes",
}
# What a call through the kaggle client may raise, its own slips over strange answers among them.
TROUBLES = (RequestException, HTTPError, OSError, ValueError, TypeError, KeyError, AttributeError)
_QUERY = re.compile(r"((?:https?://|url: /)[^\s?'\"<>]*)\?[^\s'\"<>]*")
_CREDENTIAL = re.compile(r"\b(Bearer|Basic)\s+[\w.~+/=-]+", re.IGNORECASE)


class UnreachableHostError(HostError):
    """No connection came about: nothing was asked, nothing was done."""


class UnclearHostError(HostError):
    """The host was asked, and gave no answer that says whether it did it."""


class BusyHostError(HostError):
    """The host asks to come back later: nothing was done.

    Args:
        wait: After how many seconds; None where it does not say.
    """

    def __init__(self, summary: str, problems: Iterable[Problem], wait: float | None) -> None:
        super().__init__(summary, list(problems))
        self.wait = wait


class RefusedHostError(HostError):
    """The host refused: nothing was done.

    Args:
        status: The HTTP status it refused with.
    """

    def __init__(self, summary: str, problems: Iterable[Problem], status: int) -> None:
        super().__init__(summary, list(problems))
        self.status = status


def scrub(text: str, secrets: Iterable[str] = ()) -> str:
    """A text without secrets, credentials, signatures in addresses, and the name of the home folder.

    Example:
        >>> scrub("PUT https://a.example/blob?signed=s3 with Bearer abc.def, key 012345", ["012345"])
        'PUT https://a.example/blob with Bearer …, key …'
    """
    for secret in secrets:
        text = text.replace(secret, "…")
    text = _CREDENTIAL.sub(r"\1 …", _QUERY.sub(r"\1", text))
    return text.replace(str(Path.home()), "~") if Path.home() != Path("/") else text


def words_of(response: requests.Response) -> str:
    """The host's own words in an error: both shapes of JSON, a web page's title, or the status' name."""
    try:
        told: Any = response.json()
        inner = told["error"] if isinstance(told.get("error"), dict) else told
        said = str(inner.get("message") or "")
    except (ValueError, AttributeError, RequestException, HTTPError, OSError):
        said = ""
        if "html" in response.headers.get("Content-Type", ""):
            title = re.search(r"<title>(.*?)</title>", _body(response), re.IGNORECASE | re.DOTALL)
            said = unescape(title[1]) if title else ""
    return " ".join((said or response.reason or "no reason given").split())[:SHOWN]


def _body(response: requests.Response) -> str:
    try:
        return response.text
    except (RequestException, HTTPError, OSError):
        return ""


def wait_asked_for(response: requests.Response) -> float | None:
    """The seconds of `Retry-After`; a date is held against the host's own clock, not ours."""
    told = response.headers.get("Retry-After", "")
    if told.strip().isdigit():
        return float(told)
    try:
        until = parsedate_to_datetime(told)
        clock = response.headers.get("Date")
        now = parsedate_to_datetime(clock) if clock else datetime.now(UTC)
        return max(0.0, (until - now).total_seconds())
    except (TypeError, ValueError):
        return None


def explain(
    error: Exception, doing: str, secrets: Iterable[str] = (), endpoint: str | None = None
) -> HostError:
    """The error that says what happened while something was asked of the host.

    Args:
        error: What the client or the network raised.
        doing: What was asked, in words.
        secrets: Texts that must not be told.
        endpoint: The host's address where it is on this machine.
    """
    if isinstance(error, HostError):
        return error
    response = getattr(error, "response", None)
    if response is not None and response.status_code >= 400:
        return _explain_status(response, doing, list(secrets))
    found = scrub(_cause(error), secrets)
    if _never_sent(error):
        question = f"is `kagkit host serve` running at {endpoint}?" if endpoint else "is this machine online?"
        problem = Problem("network", found, hint=f"{question} Then {AGAIN}")
        return UnreachableHostError(f"{doing}: the host cannot be reached", [problem])
    problem = Problem("network", found, hint=AGAIN)
    return UnclearHostError(f"{doing}: no answer that can be used", [problem])


def _explain_status(response: requests.Response, doing: str, secrets: list[str]) -> HostError:
    status, said = response.status_code, scrub(words_of(response), secrets)
    found = f"{status}: {said}"
    if status == 429:
        wait = wait_asked_for(response)
        told = f"it asks to wait {wait:.0f} s" if wait is not None else "it asks for fewer questions"
        hint = f"{told}; {AGAIN} later, in some minutes"
        return BusyHostError(f"{doing}: the host is busy", [Problem("host", found, hint=hint)], wait)
    if status >= 500 or status == 408:  # a proxy's 408 does not tell what is behind it
        hint = f"the fault is on the host's side; {AGAIN} in some minutes"
        return UnclearHostError(f"{doing}: the host failed", [Problem("host", found, hint=hint)])
    problem = Problem("host", found, hint=_HINTS.get(status, ""))
    return RefusedHostError(f"{doing}: the host refused", [problem], status)


def _cause(error: BaseException) -> str:
    """The innermost reason, in words: that of a wrapped network error is the one that tells."""
    reason = error
    while True:
        inner = getattr(reason, "reason", None) or next(
            (told for told in reason.args if isinstance(told, BaseException)), None
        )
        if not isinstance(inner, BaseException):
            break
        reason = inner
    said = str(reason).rpartition(">: ")[2] or str(reason)
    return f"{type(reason).__name__}: {said}"[:SHOWN]


def _never_sent(error: BaseException) -> bool:
    reason = getattr(error.args[0], "reason", None) if error.args else None
    return isinstance(error, ConnectTimeout) or (
        isinstance(error, RequestsConnectionError)
        and isinstance(reason, NewConnectionError | ConnectTimeoutError)
    )
