"""Send a zip to the host as a private dataset, or a version of it, and never to one that others can see."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kagkit.foundation.errors import HostError, Problem
from kagkit.host.door import Door
from kagkit.host.refusals import RefusedHostError
from kagkit.host.wire import put_file

BLOBS, DATASETS = "blobs.BlobApiService", "datasets.DatasetApiService"


@dataclass(frozen=True)
class Shipped:
    """A dataset at the host.

    Attributes:
        dataset: `owner/name`.
        url: Its address.
        new: False where it is a further version of one that was there.
    """

    dataset: str
    url: str
    new: bool


def ship_dataset(
    host: str, dataset: str, path: Path, notes: str, tell: Callable[[str], object] = lambda line: None
) -> Shipped:
    """Upload a file and make a private dataset of it, or a new version of the one of that name.

    Args:
        host: `kaggle`, or the address of a host on this machine.
        dataset: `owner/name`.
        path: The file; a zip is unpacked by the host.
        notes: What a version's notes say.
        tell: Called with a line for people, where there is a wait.

    Raises:
        HostError: The host does not take it, or the dataset that is there is public.
    """
    door = Door("", host, tell=tell)
    owner, _, slug = dataset.partition("/")
    there = _find(door, owner, slug)
    if there is not None and not there.get("isPrivate"):
        hint = "make it private on its page, or choose another name"
        problem = Problem(dataset, "a public dataset: everybody would see the weights", "a private one", hint)
        raise HostError("nothing was uploaded", [problem])
    files = [{"token": _upload(door, path)}]
    if there is None:
        body: dict[str, Any] = {"ownerSlug": owner, "slug": slug, "title": slug, "licenseName": "other"}
        doing, method = "making the dataset", f"{DATASETS}/CreateDataset"
        body |= {"isPrivate": True, "files": files}
    else:
        doing, method = "making a version of the dataset", f"{DATASETS}/CreateDatasetVersion"
        body = {"ownerSlug": owner, "datasetSlug": slug}
        body |= {"body": {"versionNotes": notes, "files": files}}
    answer = door.ask(doing, method, body, dict)
    if str(answer.get("status", "")).lower() == "error":
        said = door.scrubbed(str(answer.get("error") or "no reason given"))
        raise HostError(f"{doing}: the host refused", [Problem(dataset, said)])
    return Shipped(dataset, str(answer.get("url") or ""), there is None)


def _find(door: Door, owner: str, slug: str) -> dict[str, Any] | None:
    """What the host says of a dataset; None where it has none of this name that we may see."""
    body = {"ownerSlug": owner, "datasetSlug": slug}
    try:
        return door.read("asking for the dataset", f"{DATASETS}/GetDataset", body, dict)
    except RefusedHostError as error:
        if error.status not in (403, 404):
            raise
        return None


def _upload(door: Door, path: Path) -> str:
    status = path.stat()
    body = {
        "type": "DATASET",
        "name": path.name,
        "contentLength": status.st_size,
        "lastModifiedEpochSeconds": int(status.st_mtime),
    }

    def place(answer: dict[str, Any]) -> tuple[str, str]:
        return str(answer["token"]), str(answer["createUrl"])

    token, address = door.read("starting an upload", f"{BLOBS}/StartBlobUpload", body, place)
    put_file(address, path, door.patience, loopback=door.loopback)
    return token
