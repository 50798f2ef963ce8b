"""Answer Kaggle's KernelsApiService: keep the code that is pushed, hand out outputs the host put there."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from kagkit.foundation.files import write_file
from kagkit.host.hosted import Caller, Hosted, RefusalError, page_of, text_of, whole_of
from kagkit.host.shelf import files_below
from kagkit.host.terms import NAME

DENIED = "Permission 'kernels.get' was denied"
Request = dict[str, Any]


def save_kernel(host: Hosted, caller: Caller, request: Request) -> dict[str, Any]:
    """Keep a new version of a kernel. Nothing runs it."""
    owner, _, slug = text_of(request, "slug").partition("/")
    if owner != caller.user or not NAME.fullmatch(slug):
        raise RefusalError(403, "Permission 'kernels.update' was denied")
    code = text_of(request, "text")
    digest = hashlib.sha256(code.encode()).hexdigest()
    write_file(host.root / "state" / "code" / digest, code)
    number = host.register.note_version(
        "kernel",
        owner,
        slug,
        title=text_of(request, "newTitle") or slug,
        language=text_of(request, "language"),
        kind=text_of(request, "kernelType"),
        code=digest,
        private=bool(request.get("isPrivate")),
    )
    return {
        "ref": f"/code/{owner}/{slug}",
        "url": f"{caller.base}/code/{owner}/{slug}",
        "versionNumber": number,
    }


def get_status(host: Hosted, caller: Caller, request: Request) -> dict[str, Any]:
    """COMPLETE: a kernel is done as soon as it is pushed."""
    _version(host, caller, text_of(request, "userName"), text_of(request, "kernelSlug"), 0)
    return {"status": "COMPLETE", "failureMessage": ""}


def list_output(host: Hosted, caller: Caller, request: Request) -> dict[str, Any]:
    """The files of the newest version's output, or of the one that is named, and its log."""
    owner, slug = text_of(request, "userName"), text_of(request, "kernelSlug")
    label = text_of(request, "versionLabel").lower().removeprefix("version").strip()
    version = _version(host, caller, owner, slug, int(label) if label.isdecimal() else 0)
    page, following = page_of(request, files_below(_folder(host, owner, slug, version)))
    files = [
        {"url": f"{caller.blobs}{host.signer.sign(item.path, item.name)}", "fileName": item.name}
        for item in page
    ]
    return {"files": files, "log": "", "nextPageToken": following}


def output_file(host: Hosted, caller: Caller, request: Request, name: str) -> Path:
    """A file of a kernel's output.

    Raises:
        RefusalError: There is no such kernel, version or file.
    """
    owner, slug = text_of(request, "kernelOwner"), text_of(request, "kernelSlug")
    version = _version(host, caller, owner, slug, whole_of(request, "kernelVersion"))
    outputs = {item.name: item.path for item in files_below(_folder(host, owner, slug, version))}
    if name not in outputs:
        raise RefusalError(404, f"Version {version} of {owner}/{slug} has no output file {name}")
    return outputs[name]


def _folder(host: Hosted, owner: str, slug: str, version: int) -> Path:
    return host.root / "kernels" / owner / slug / str(version)


def _version(host: Hosted, caller: Caller, owner: str, slug: str, version: int) -> int:
    """A version that was pushed; the newest where 0 is asked for."""
    pushed = host.register.events.kernels.get(f"{owner}/{slug}", [])
    if not pushed or (pushed[-1]["private"] and owner != caller.user):
        raise RefusalError(403, DENIED)
    if not 0 <= version <= len(pushed):
        raise RefusalError(404, f"{owner}/{slug} has no version {version}")
    return version or len(pushed)
