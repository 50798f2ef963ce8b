"""Answer Kaggle's CompetitionApiService: files, submissions, limits, leaderboard."""

from __future__ import annotations

import csv
import io
import zipfile
import zlib
from datetime import UTC, datetime, timedelta
from typing import Any

from kagkit.foundation.errors import HostError
from kagkit.foundation.files import link_or_copy
from kagkit.host.board import Place, private_board, public_board
from kagkit.host.grading import cut_score
from kagkit.host.hosted import (
    Attachment,
    Caller,
    Hosted,
    Redirect,
    RefusalError,
    page_of,
    stamp,
    text_of,
    whole_of,
)
from kagkit.host.kernels import output_file
from kagkit.host.register import Submission
from kagkit.host.shelf import Offer, archive, offers, wrapped
from kagkit.host.uploads import Incoming, start_upload, uploaded_file

DENIED = "Permission 'competitions.participate' was denied"
RULES = "You must accept this competition's rules before you'll be able to download files or submit."
FAR = timedelta(days=3650)
Request = dict[str, Any]


def get_competition(host: Hosted, caller: Caller, request: Request) -> dict[str, Any]:
    """The competition's facts."""
    _enter(host, request)
    return _facts(host, caller)


def list_competitions(host: Hosted, caller: Caller, request: Request) -> dict[str, Any]:
    """The one competition that is here."""
    word = text_of(request, "search").lower()
    facts = _facts(host, caller)
    hit = word in f"{facts['title']} {host.terms.competition}".lower()
    page, following = page_of(request, [facts] if hit else [])
    return {"competitions": list(page), "nextPageToken": following}


def _facts(host: Hosted, caller: Caller) -> dict[str, Any]:
    terms = host.terms
    address = f"{caller.base}/competitions/{terms.competition}"
    deadline = _deadline(host)
    ranks = {place.team: place.rank for place in board(host)}
    rank = ranks.get(terms.team_of(caller.user))
    return {
        "id": zlib.crc32(terms.competition.encode()),
        "ref": address,
        "url": address,
        "title": terms.title,
        "description": terms.description,
        "organizationName": "kagkit",
        "category": "Community",
        "reward": "Kudos",
        "deadline": stamp(deadline),
        "mergerDeadline": stamp(deadline),
        "newEntrantDeadline": stamp(deadline),
        "enabledDate": stamp(datetime.fromtimestamp((host.root / "host.yaml").stat().st_mtime, UTC)),
        "teamCount": len({item.team for item in host.register.submissions}),
        "userHasEntered": terms.participants[caller.user].rules_accepted,
        "maxDailySubmissions": terms.limits.daily,
        "maxTeamSize": max(len(terms.participants), 1),
        "evaluationMetric": terms.metric.score.rpartition(":")[2],
        "submissionsDisabled": False,
        "hostName": "kagkit",
        **({"userRank": rank} if rank is not None else {}),
    }


def _deadline(host: Hosted) -> datetime:
    """When the stage ends or ended; far off where host.yaml does not say, for the client wants a date."""
    ends = host.terms.stages[host.register.events.stage].ends
    return ends or host.register.clock() + FAR


def _enter(host: Hosted, request: Request) -> None:
    """Refuse a competition that is not this one as Kaggle does, which tells no more than that."""
    if text_of(request, "competitionName") != host.terms.competition:
        raise RefusalError(403, DENIED)


def _take_part(host: Hosted, caller: Caller, request: Request) -> None:
    _enter(host, request)
    if not host.terms.participants[caller.user].rules_accepted:
        raise RefusalError(403, RULES)


# --- files ---


def _offers(host: Hosted) -> dict[str, Offer]:
    return offers(host.root, host.terms, host.register.events.stage)


def list_files(host: Hosted, caller: Caller, request: Request) -> dict[str, Any]:
    """The files on offer, page by page."""
    _enter(host, request)
    page, following = page_of(request, list(_offers(host).values()))
    files = [
        {
            "ref": item.name.rpartition("/")[2],
            "name": item.name,
            "totalBytes": item.size,
            "url": f"{caller.base}/competitions/{host.terms.competition}",
            "creationDate": stamp(item.created),
        }
        for item in page
    ]
    return {"files": files, "nextPageToken": following}


def list_tree(host: Hosted, caller: Caller, request: Request) -> dict[str, Any]:
    """One folder's folders and files."""
    _enter(host, request)
    path = text_of(request, "path").strip("/")
    inside = f"{path}/" if path else ""
    below = [item for name, item in _offers(host).items() if name.startswith(inside)]
    folders: dict[str, int] = {}
    files = []
    for item in below:
        first, slash, _ = item.name.removeprefix(inside).partition("/")
        if slash:
            folders[first] = folders.get(first, 0) + 1
        else:
            files.append({"name": first, "totalBytes": item.size, "creationDate": stamp(item.created)})
    page, following = page_of(request, files)
    return {
        "directories": [
            {"name": name, "relativeUrl": f"{inside}{name}", "totalFiles": count, "totalChildren": count}
            for name, count in folders.items()
        ],
        "files": list(page),
        "totalChildren": len(folders) + len(files),
        "totalDirectories": len(folders),
        "totalFiles": len(files),
        "nextPageToken": following,
    }


def download_file(host: Hosted, caller: Caller, request: Request) -> Redirect:
    """Where one file is, packed where it is large."""
    _take_part(host, caller, request)
    name = text_of(request, "fileName")
    item = _offers(host).get(name)
    if item is None:
        raise RefusalError(404, f"File {name} was not found")
    path = wrapped(host.root, item)
    return Redirect(host.signer.sign(path, name if path == item.path else f"{name}.zip"))


def download_all(host: Hosted, caller: Caller, request: Request) -> Redirect:
    """Where all files are, in one zip."""
    _take_part(host, caller, request)
    name = f"{host.terms.competition}.zip"
    return Redirect(host.signer.sign(archive(host.root, name, list(_offers(host).values()))))


# --- submissions ---


def start_submission(host: Hosted, caller: Caller, request: Request) -> dict[str, Any]:
    """Where the bytes of a submission go."""
    if request.get("competitionName") is not None:
        _take_part(host, caller, request)
    size = whole_of(request, "contentLength")
    name = text_of(request, "fileName", "submission.csv")
    upload = start_upload(host.register, caller.user, name, size)
    return {"token": upload.token, "createUrl": f"{caller.blobs}/uploads/{upload.token}"}


def create_submission(host: Hosted, caller: Caller, request: Request) -> dict[str, Any]:
    """Accept an uploaded file as a submission."""
    _take_part(host, caller, request)
    upload = host.register.events.uploads.get(text_of(request, "blobFileTokens"))
    if upload is None or upload.user != caller.user or not Incoming(host.root, upload).finish():
        raise RefusalError(400, "The submission's file has not been uploaded")
    return _submit(host, caller, upload.token, text_of(request, "submissionDescription"))


def create_code_submission(host: Hosted, caller: Caller, request: Request) -> dict[str, Any]:
    """Accept a file that a kernel left as a submission."""
    _take_part(host, caller, request)
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
    _enter(host, request)
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
    _enter(host, request)
    allowance = host.register.allowance(host.terms.team_of(caller.user))
    return {
        "numToday": allowance.today,
        "numTotal": allowance.total,
        "numAllowedNow": allowance.left,
        "limitedByTotal": allowance.by_total,
    }


# --- leaderboard ---


def board(host: Hosted, *, public: bool = False) -> list[Place]:
    """The board that counts: the public one until the end, the private one after it."""
    events, items = host.register.events, host.register.submissions
    make = private_board if events.closed and not public else public_board
    return make(items, events.stage, greater=host.terms.metric.greater_is_better)


def get_leaderboard(host: Hosted, caller: Caller, request: Request) -> dict[str, Any]:
    """The board, page by page."""
    _enter(host, request)
    page, following = page_of(request, board(host, public=bool(request.get("overridePublic"))))
    places = [
        {
            "teamId": _team_id(place.team),
            "teamName": place.team,
            "submissionDate": stamp(place.time),
            "score": place.score,
        }
        for place in page
    ]
    return {"submissions": places, "nextPageToken": following}


def download_leaderboard(host: Hosted, caller: Caller, request: Request) -> Attachment:
    """The board as a CSV file in a zip, with Kaggle's columns."""
    _enter(host, request)
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(
        [
            "Rank",
            "TeamId",
            "TeamName",
            "LastSubmissionDate",
            "Score",
            "SubmissionCount",
            "TeamMemberUserNames",
        ]
    )
    for place in board(host):
        users = [user for user in host.terms.participants if host.terms.team_of(user) == place.team]
        when = place.time.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
        members = ",".join(users)
        lines.writerow(
            [place.rank, _team_id(place.team), place.team, when, place.score, place.entries, members]
        )
    kind = "private" if host.register.events.closed else "public"
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as target:
        target.writestr(f"{host.terms.competition}-{kind}leaderboard.csv", text.getvalue())
    return Attachment(f"{host.terms.competition}.zip", packed.getvalue())


def _team_id(team: str) -> int:
    return zlib.crc32(team.encode())
