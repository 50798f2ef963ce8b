"""Ask a host each question there is: facts, limits, submissions, files; hand a submission over."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from kagkit.foundation.errors import HostError, Problem
from kagkit.host.answers import (
    BoardLine,
    CompetitionFacts,
    HostFile,
    HostSubmission,
    Limits,
    read_board_line,
    read_host_file,
    read_limits,
    read_submission_answer,
)
from kagkit.host.door import Door
from kagkit.host.refusals import AGAIN, TROUBLES, UnclearHostError, explain
from kagkit.host.wire import put_file, storage_session
from kagkit.workspace.competition import Competition

PAGE = 100
SMALLEST_PAGE = 20  # no host is known to cut pages shorter
PAGES = 1000


class Host:
    """One competition at its host, asked through a door.

    Methods raise what the door raises. What only reads is asked again where the host or the network fails;
    what submits never is.

    Args:
        door: The door.
    """

    def __init__(self, door: Door) -> None:
        self.door = door
        self._name = {"competitionName": door.competition}

    @classmethod
    def of(cls, competition: Competition, tell: Any = lambda line: None) -> Host:
        """The host that competition.yaml names.

        Raises:
            HostError: It names none.
        """
        return cls(Door(competition.competition, competition.host, tell=tell))

    def facts(self) -> CompetitionFacts:
        """What the host says of the competition."""
        return self.door.facts()

    def limits(self) -> Limits:
        """How many submissions are left."""
        doing = "asking how many submissions are left"
        return self.door.read(doing, "GetSubmissionLimits", self._name, read_limits)

    def submissions(self) -> list[HostSubmission]:
        """Every submission of the team, as the host lists them, each once."""
        told = self._pages("listing submissions", "ListSubmissions", "submissions", by_number=True)
        found = [read_submission_answer(answer) for answer in told]
        return list({submission.ref: submission for submission in found}.values())

    def submission(self, ref: int) -> HostSubmission:
        """One submission."""
        return self.door.read(
            "asking for a submission", "GetSubmission", {"ref": ref}, read_submission_answer
        )

    def board(self) -> list[BoardLine]:
        """The public leaderboard, best first, after the end as well."""
        doing, method = "reading the leaderboard", "GetLeaderboard"
        told = self._pages(doing, method, "submissions", overridePublic=True)
        return [read_board_line(answer) for answer in told]

    def files(self) -> list[HostFile]:
        """The files of the competition's data."""
        return [read_host_file(answer) for answer in self._pages("listing files", "ListDataFiles", "files")]

    def upload(self, path: Path) -> str:
        """Upload a file that is to be submitted; nothing is submitted yet. Returns the host's name for it."""
        status = path.stat()
        body = self._name | {
            "fileName": path.name,
            "contentLength": status.st_size,
            "lastModifiedEpochSeconds": int(status.st_mtime),
        }
        token, address = self.door.read("starting an upload", "StartSubmissionUpload", body, _place_of)
        put_file(address, path, self.door.patience, loopback=self.door.loopback)
        return token

    def submit(self, token: str, description: str) -> int:
        """Submit what was uploaded, asking once. Returns the submission's number."""
        body = self._name | {"blobFileTokens": token, "submissionDescription": description}
        return self.door.ask("submitting", "CreateSubmission", body, self._number_of)

    def submit_notebook(self, notebook: str, version: int, file_name: str, description: str) -> int:
        """Submit a version of a notebook, asking once.

        Args:
            notebook: `owner/name`.
            version: Its number.
            file_name: The file that the notebook writes.
            description: The text to send with it.

        Returns:
            The submission's number.
        """
        owner, _, slug = notebook.partition("/")
        body = self._name | {"kernelOwner": owner, "kernelSlug": slug, "kernelVersion": version}
        body |= {"fileName": file_name, "submissionDescription": description}
        return self.door.ask("submitting a notebook", "CreateCodeSubmission", body, self._number_of)

    def _number_of(self, answer: dict[str, Any]) -> int:
        ref = int(answer.get("ref") or 0)
        if ref <= 0:
            said = self.door.scrubbed(str(answer.get("message") or "no word either"))
            problem = Problem("host", f"no number; it said: {said}", hint=AGAIN)
            raise UnclearHostError("submitting: the host gave no number", [problem])
        return ref

    @contextmanager
    def bundle(self) -> Iterator[requests.Response]:
        """All of the competition's data as one file: the answer, its body not read yet."""
        with self.door.download("asking for the data", "DownloadDataFiles") as response:
            yield response

    @contextmanager
    def board_file(self) -> Iterator[requests.Response]:
        """The whole leaderboard as one file: the answer, its body not read yet."""
        with self.door.download("asking for the leaderboard", "DownloadLeaderboard") as response:
            yield response

    @contextmanager
    def rest_of(self, url: str, start: int, validator: str) -> Iterator[requests.Response]:
        """A file from a byte on, or from its start where the host has another one by now."""
        headers = {"Range": f"bytes={start}-", "If-Range": validator, "Accept-Encoding": "identity"}
        with storage_session(self.door.patience, loopback=self.door.loopback) as session:
            try:
                with session.get(url, headers=headers, stream=True) as response:
                    response.raise_for_status()
                    yield response
            except TROUBLES as error:
                raise explain(error, "downloading") from error

    def _pages(
        self, doing: str, method: str, name: str, *, by_number: bool = False, **asked: Any
    ) -> list[dict[str, Any]]:
        """Every page of a list; by number where the host gives no name of a next page."""

        def read(answer: dict[str, Any]) -> tuple[list[dict[str, Any]], str]:
            return [dict(item) for item in answer.get(name) or []], str(answer.get("nextPageToken") or "")

        found: list[dict[str, Any]] = []
        body: dict[str, Any] = self._name | asked | {"pageSize": PAGE}
        for number in range(1, PAGES):
            page, following = self.door.read(doing, method, body, read)
            fresh = [item for item in page if item not in found]
            found += fresh
            if following and fresh:
                body["pageToken"] = following
            elif by_number and "pageToken" not in body and fresh and len(page) >= SMALLEST_PAGE:
                body["page"] = number + 1
            else:
                return found
        raise HostError(f"{doing}: no end", [Problem("host", f"more than {PAGES:,} pages")])


def _place_of(answer: dict[str, Any]) -> tuple[str, str]:
    return str(answer["token"]), str(answer["createUrl"])
