"""Answer Kaggle's CompetitionApiService about a competition: its facts, files and leaderboard."""

from __future__ import annotations

import csv
import io
import zipfile
import zlib
from datetime import UTC, datetime, timedelta
from typing import Any

from kagkit.host.board import Place, private_board, public_board
from kagkit.host.hosted import (
    Attachment,
    Caller,
    Hosted,
    Redirect,
    RefusalError,
    page_of,
    stamp,
    text_of,
)
from kagkit.host.shelf import Offer, archive, offers, wrapped

DENIED = "Permission 'competitions.participate' was denied"
RULES = "You must accept this competition's rules before you'll be able to download files or submit."
FAR = timedelta(days=3650)
Request = dict[str, Any]


def get_competition(host: Hosted, caller: Caller, request: Request) -> dict[str, Any]:
    """The competition's facts."""
    enter(host, request)
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
    ranks = {place.team: place.rank for place in standing(host)}
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


def enter(host: Hosted, request: Request) -> None:
    """Refuse a competition that is not this one as Kaggle does, which tells no more than that.

    Raises:
        RefusalError: 403.
    """
    if text_of(request, "competitionName") != host.terms.competition:
        raise RefusalError(403, DENIED)


def take_part(host: Hosted, caller: Caller, request: Request) -> None:
    """Refuse another competition, and whoever has not accepted the rules.

    Raises:
        RefusalError: 403, as at Kaggle.
    """
    enter(host, request)
    if not host.terms.participants[caller.user].rules_accepted:
        raise RefusalError(403, RULES)


# --- files ---


def _offers(host: Hosted) -> dict[str, Offer]:
    return offers(host.root, host.terms, host.register.events.stage)


def list_files(host: Hosted, caller: Caller, request: Request) -> dict[str, Any]:
    """The files on offer, page by page."""
    enter(host, request)
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
    enter(host, request)
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
    take_part(host, caller, request)
    name = text_of(request, "fileName")
    item = _offers(host).get(name)
    if item is None:
        raise RefusalError(404, f"File {name} was not found")
    path = wrapped(host.root, item)
    return Redirect(host.signer.sign(path, name if path == item.path else f"{name}.zip"))


def download_all(host: Hosted, caller: Caller, request: Request) -> Redirect:
    """Where all files are, in one zip."""
    take_part(host, caller, request)
    name = f"{host.terms.competition}.zip"
    return Redirect(host.signer.sign(archive(host.root, name, list(_offers(host).values()))))


# --- leaderboard ---


def standing(host: Hosted, *, public: bool = False) -> list[Place]:
    """The board that counts: the public one until the end, the private one after it."""
    events, items = host.register.events, host.register.submissions
    make = private_board if events.closed and not public else public_board
    return make(items, events.stage, greater=host.terms.metric.greater_is_better)


def get_leaderboard(host: Hosted, caller: Caller, request: Request) -> dict[str, Any]:
    """The board, page by page."""
    enter(host, request)
    page, following = page_of(request, standing(host, public=bool(request.get("overridePublic"))))
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
    enter(host, request)
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
    for place in standing(host):
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
