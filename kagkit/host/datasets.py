"""Answer Kaggle's DatasetApiService and BlobApiService: datasets made of uploads, version by version."""

from __future__ import annotations

import zlib
from datetime import datetime
from typing import Any

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
from kagkit.host.shelf import Offer, archive, wrapped
from kagkit.host.terms import NAME
from kagkit.host.uploads import Incoming, start_upload, uploaded_file

Request = dict[str, Any]


def start_blob(host: Hosted, caller: Caller, request: Request) -> dict[str, Any]:
    """Where the bytes of a dataset's file go."""
    size = size_of(host, request)
    upload = start_upload(host.register, caller.user, text_of(request, "name", "file"), size)
    return {"token": upload.token, "createUrl": f"{caller.blobs}/uploads/{upload.token}"}


def create_dataset(host: Hosted, caller: Caller, request: Request) -> dict[str, Any]:
    """A new dataset of uploaded files."""
    owner, slug = text_of(request, "ownerSlug", caller.user), text_of(request, "slug")
    if owner != caller.user or not NAME.fullmatch(slug):
        raise RefusalError(403, "Permission 'datasets.create' was denied")
    if f"{owner}/{slug}" in host.register.events.datasets:
        error = f'The requested title "{text_of(request, "title")}" is already in use by a dataset.'
        return {"status": "error", "error": error}
    facts = {
        "title": text_of(request, "title") or slug,
        "licence": text_of(request, "licenseName"),
        "private": bool(request.get("isPrivate")),
        "notes": "Initial release",
    }
    return _keep(host, caller, owner, slug, request, facts)


def create_version(host: Hosted, caller: Caller, request: Request) -> dict[str, Any]:
    """A new version of a dataset, of uploaded files alone."""
    owner, slug = text_of(request, "ownerSlug"), text_of(request, "datasetSlug")
    newest = _version(host, caller, owner, slug, 0)
    if owner != caller.user:
        raise RefusalError(403, "Permission 'datasets.update' was denied")
    body = request.get("body")
    body = body if isinstance(body, dict) else {}
    facts = {name: newest[name] for name in ("title", "licence", "private")}
    return _keep(host, caller, owner, slug, body, facts | {"notes": text_of(body, "versionNotes")})


def _keep(
    host: Hosted, caller: Caller, owner: str, slug: str, request: Request, facts: dict[str, Any]
) -> dict[str, Any]:
    host.register.note_version("dataset", owner, slug, files=_files(host, caller, request), **facts)
    address = f"{caller.base}/datasets/{owner}/{slug}"
    return {"ref": f"/{owner}/{slug}", "url": address, "status": "ok", "error": "", "invalidTags": []}


def _files(host: Hosted, caller: Caller, request: Request) -> list[dict[str, Any]]:
    given = request.get("files") or []
    tokens = [item.get("token") for item in given if isinstance(item, dict)]
    uploads = [host.register.events.uploads.get(str(token)) for token in tokens]
    files = []
    for upload in uploads:
        if upload is None or upload.user != caller.user or not Incoming(host.root, upload).finish():
            raise RefusalError(400, "A file of the dataset has not been uploaded")
        files.append({"name": upload.name, "token": upload.token, "size": upload.size})
    return files


def get_status(host: Hosted, caller: Caller, request: Request) -> dict[str, Any]:
    """READY: a dataset is there as soon as it is made."""
    _version(host, caller, text_of(request, "ownerSlug"), text_of(request, "datasetSlug"), 0)
    return {"status": "READY"}


def get_dataset(host: Hosted, caller: Caller, request: Request) -> dict[str, Any]:
    """A dataset's facts."""
    owner, slug = text_of(request, "ownerSlug"), text_of(request, "datasetSlug")
    newest = _version(host, caller, owner, slug, 0)
    versions = host.register.events.datasets[f"{owner}/{slug}"]
    return {
        "id": zlib.crc32(f"{owner}/{slug}".encode()),
        "ref": f"{owner}/{slug}",
        "url": f"{caller.base}/datasets/{owner}/{slug}",
        "title": newest["title"],
        "ownerName": owner,
        "ownerRef": owner,
        "creatorName": owner,
        "licenseName": newest["licence"],
        "isPrivate": newest["private"],
        "totalBytes": sum(item["size"] for item in newest["files"]),
        "lastUpdated": _time(newest),
        "currentVersionNumber": newest["version"],
        "versions": [
            {"versionNumber": item["version"], "versionNotes": item["notes"], "creationDate": _time(item)}
            for item in versions
        ],
    }


def get_metadata(host: Hosted, caller: Caller, request: Request) -> dict[str, Any]:
    """What the client asks for before it downloads."""
    owner, slug = text_of(request, "ownerSlug"), text_of(request, "datasetSlug")
    newest = _version(host, caller, owner, slug, 0)
    info = {
        "datasetId": zlib.crc32(f"{owner}/{slug}".encode()),
        "datasetSlug": slug,
        "ownerUser": owner,
        "title": newest["title"],
        "isPrivate": newest["private"],
        "licenses": [{"name": newest["licence"]}],
    }
    return {"info": info}


def list_files(host: Hosted, caller: Caller, request: Request) -> dict[str, Any]:
    """A version's files, page by page."""
    owner, slug = text_of(request, "ownerSlug"), text_of(request, "datasetSlug")
    version = _version(host, caller, owner, slug, whole_of(request, "datasetVersionNumber"))
    page, following = page_of(request, version["files"])
    files = [
        {
            "ref": item["name"],
            "datasetRef": f"{owner}/{slug}",
            "ownerRef": owner,
            "name": item["name"],
            "totalBytes": item["size"],
            "creationDate": _time(version),
        }
        for item in page
    ]
    return {"datasetFiles": files, "nextPageToken": following}


def download(host: Hosted, caller: Caller, request: Request) -> Redirect:
    """Where a version is, in one zip, or one of its files."""
    owner, slug = text_of(request, "ownerSlug"), text_of(request, "datasetSlug")
    version = _version(host, caller, owner, slug, whole_of(request, "datasetVersionNumber"))
    files = {
        item["name"]: Offer(item["name"], uploaded_file(host.root, item["token"]))
        for item in version["files"]
    }
    name = text_of(request, "fileName")
    if not name:
        return Redirect(host.signer.sign(archive(host.root, f"{slug}.zip", list(files.values()))))
    if name not in files:
        raise RefusalError(404, f"File {name} was not found")
    path = wrapped(host.root, files[name])
    return Redirect(host.signer.sign(path, name if path == files[name].path else f"{name}.zip"))


def _version(host: Hosted, caller: Caller, owner: str, slug: str, number: int) -> dict[str, Any]:
    """A version of a dataset the caller may see; the newest where 0 is asked for."""
    versions = host.register.events.datasets.get(f"{owner}/{slug}", [])
    if not versions or (versions[-1]["private"] and owner != caller.user):
        raise RefusalError(403, "Permission 'datasets.get' was denied")
    if not 0 <= number <= len(versions):
        raise RefusalError(404, f"{owner}/{slug} has no version {number}")
    return versions[number - 1 if number else -1]


def _time(version: dict[str, Any]) -> str:
    return stamp(datetime.fromisoformat(version["time"]))
