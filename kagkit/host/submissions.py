"""Answer Kaggle's CompetitionApiService about submissions: take them in, tell what became of them."""

from __future__ import annotations

from typing import Any

from kagkit.foundation.errors import HostError
from kagkit.foundation.files import link_or_copy
from kagkit.host.competitions import enter, take_part
from kagkit.host.grading import cut_score
from kagkit.host.hosted import (
    Caller,
    Hosted,
    Redirect,
    RefusalError,
    page_of,
    size_of,
    stamp,
    text_of,
    whole_of,
)
from kagkit.host.kernels import output_file
from kagkit.host.register import Submission
from kagkit.host.uploads import Incoming, start_upload, uploaded_file

Request = dict[str, Any]


def start_submission(host: Hosted, caller: Caller, request: Request) -> dict[str, Any]:
    """Where the bytes of a submission go."""
    if request.get("competitionName") is not None:
        take_part(host, caller, request)
    size = size_of(host, request)
    name = text_of(request, "fileName", "submission.csv")
    upload = start_upload(host.register, caller.user, name, size)
    return {"token": upload.token, "createUrl": f"{caller.blobs}/uploads/{upload.token}"}


def create_submission(host: Hosted, caller: Caller, request: Request) -> dict[str, Any]:
    """Accept an uploaded file as a submission."""
    take_part(host, caller, request)
    upload = host.register.events.uploads.get(text_of(request, "blobFileTokens"))
    if upload is None or upload.user != caller.user or not Incoming(host.root, upload).finish():
        raise RefusalError(400, "The submission's file has not been uploaded")
    return _submit(host, caller, upload.token, text_of(request, "submissionDescription"))


def create_code_submission(host: Hosted, caller: Caller, request: Request) -> dict[str, Any]:
    """Accept a file that a kernel left as a submission."""
    take_part(host, caller, request)
    name = text_of(request, "fileName", "submission.csv")
    path = output_file(host, caller, request, name)
    upload = start_upload(host.register, caller.user, name, path.stat().st_size)
    whole = uploaded_file(host.root, upload.token)
    if not whole.exists():
        link_or_copy(path, whole)
    return _submit(host, caller, upload.token, text_of(request, "submissionDescription"))


def _submit(host: Hosted, caller: Caller, token: str, description: str) -> dict[str, Any]:
    try:
        item = host.register.submit(host.register.events.uploads[token], caller.user, description)
    except HostError as error:
        raise RefusalError(400, error.summary) from error
    return {"message": f"Successfully submitted to {host.terms.title}", "ref": item.ref}


def list_submissions(host: Hosted, caller: Caller, request: Request) -> dict[str, Any]:
    """The team's submissions, newest first, page by page."""
    enter(host, request)
    team = host.terms.team_of(caller.user)
    items = [item for item in reversed(host.register.submissions) if item.team == team]
    if "SUCCESSFUL" in text_of(request, "group").upper():
        items = [item for item in items if item.status == "COMPLETE"]
    match text_of(request, "sortBy").upper().removeprefix("SUBMISSION_SORT_BY_"):
        case "NAME":
            items.sort(key=lambda item: item.name)
        case "PUBLIC_SCORE":
            greater = host.terms.metric.greater_is_better
            scored = [item for item in items if item.public is not None]
            scored.sort(key=lambda item: item.public or 0.0, reverse=greater)
            items = scored + [item for item in items if item.public is None]
    page, following = page_of(request, items)
    return {"submissions": [_told(host, caller, item) for item in page], "nextPageToken": following}


def get_submission(host: Hosted, caller: Caller, request: Request) -> dict[str, Any]:
    """One submission of the team."""
    return _told(host, caller, _own(host, caller, whole_of(request, "ref")))


def download_submission(host: Hosted, caller: Caller, request: Request) -> Redirect:
    """Where a submitted file is."""
    item = _own(host, caller, whole_of(request, "submissionId"))
    return Redirect(host.signer.sign(uploaded_file(host.root, item.token), item.name))


def _own(host: Hosted, caller: Caller, ref: int) -> Submission:
    item = host.register.events.submissions.get(ref)
    if item is None or item.team != host.terms.team_of(caller.user):
        raise RefusalError(404, f"Submission {ref} was not found")
    return item


def _told(host: Hosted, caller: Caller, item: Submission) -> dict[str, Any]:
    opened = host.register.events.closed
    return {
        "ref": item.ref,
        "totalBytes": item.size,
        "date": stamp(item.time),
        "description": item.description,
        "errorDescription": item.error,
        "fileName": item.name,
        "publicScore": "" if item.public is None else cut_score(item.public),
        "privateScore": cut_score(item.private) if opened and item.private is not None else "",
        "status": item.status,
        "submittedBy": item.user,
        "submittedByRef": item.user,
        "teamName": item.team,
        "url": f"{caller.base}/competitions/{host.terms.competition}",
    }


def get_limits(host: Hosted, caller: Caller, request: Request) -> dict[str, Any]:
    """What the team may still submit."""
    enter(host, request)
    allowance = host.register.allowance(host.terms.team_of(caller.user))
    return {
        "numToday": allowance.today,
        "numTotal": allowance.total,
        "numAllowedNow": allowance.left,
        "limitedByTotal": allowance.by_total,
    }
