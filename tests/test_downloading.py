from __future__ import annotations

import base64
import hashlib
import io
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from kagkit.foundation.errors import DataError, HostError
from kagkit.host import downloading
from kagkit.host.asking import Host
from kagkit.host.door import Door
from kagkit.host.downloading import Downloaded, download, download_board
from kagkit.host.refusals import BusyHostError, UnclearHostError, UnreachableHostError
from tests.faults import Fault, refusal
from tests.served import Served, make_client
from tests.terminal import kagkit
from tests.toy import write_competition

BLOB = "blobs/"


def fetch(root: Path, **more: Any) -> Downloaded:
    return download(Host(Door("toy-host")), root / ".kagkit", root / "data", **more)


def offer(content: bytes, **headers: str) -> Fault:
    """The data as another host would send them: at once, with these words in the head."""
    head = {"ETag": '"1"', "Accept-Ranges": "bytes"} | headers
    return Fault("DownloadDataFiles", "answer", 200, content, "application/zip", headers=head)


def packed(**files: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return stream.getvalue()


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_data_come_whole_and_nothing_else_stays(host: Served, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    told = fetch(tmp_path, progress=lambda done, total: seen.append((done, total)))
    files = ["images/scan.bin", "sample_submission.csv", "test.csv", "train.csv"]
    assert names(tmp_path / "data") == files
    for name in files:
        assert (tmp_path / "data" / name).read_bytes() == (host.root / "files" / name).read_bytes()
    assert (told.files, told.resumed) == (4, 0)
    assert seen[-1] == (told.bytes, told.bytes)
    assert names(tmp_path / ".kagkit") == ["download.lock"]


@pytest.mark.parametrize(
    "fault",
    [
        Fault(BLOB, "cut", after=150_000),
        Fault(BLOB, "cut", after=150_000, times=3),
        Fault(BLOB, "drop"),
        Fault(BLOB, "hang"),
        Fault(BLOB, "trickle", after=30),
        refusal(BLOB, 503, times=2),
        refusal("DownloadDataFiles", 500, shape="html"),
        Fault("DownloadDataFiles", "drop"),
    ],
    ids=lambda fault: f"{fault.path} {fault.act} {fault.times}",
)
def test_a_broken_download_goes_on_by_itself(fault: Fault, host: Served, tmp_path: Path) -> None:
    host.proxy.plan = [Fault(**vars(fault))]
    fetch(tmp_path)
    assert (tmp_path / "data/images/scan.bin").read_bytes() == (
        host.root / "files/images/scan.bin"
    ).read_bytes()


def test_what_came_is_kept_for_the_next_try(host: Served, tmp_path: Path) -> None:
    host.proxy.plan = [Fault(BLOB, "cut", after=150_000), refusal(BLOB, 503, times=99)]
    with pytest.raises(UnclearHostError, match="503"):
        fetch(tmp_path)
    assert not (tmp_path / "data").exists()
    host.proxy.plan = []
    assert fetch(tmp_path).resumed == 150_000


def test_other_data_at_the_host_are_never_joined_to_what_was_here(host: Served, tmp_path: Path) -> None:
    new = packed(a=b"new" * 50_000)
    host.proxy.plan = [Fault(BLOB, "cut", after=150_000), refusal(BLOB, 503, times=99)]
    with pytest.raises(UnclearHostError):
        fetch(tmp_path)
    host.proxy.plan = [offer(new, ETag='"2"')]
    assert fetch(tmp_path).resumed == 0
    assert (tmp_path / "data/a").read_bytes() == b"new" * 50_000


def test_a_wrong_digest_is_found_and_the_next_try_begins_anew(host: Served, tmp_path: Path) -> None:
    content = packed(a=b"x" * 5000)
    wrong = base64.b64encode(hashlib.md5(b"other").digest()).decode()
    host.proxy.plan = [offer(content, **{"x-goog-hash": f"crc32c=AAAA,md5={wrong}"})]
    with pytest.raises(HostError, match="another MD5 than the host tells"):
        fetch(tmp_path)
    right = base64.b64encode(hashlib.md5(content).digest()).decode()
    host.proxy.plan = [offer(content, **{"x-goog-hash": f"md5={right}"})]
    assert fetch(tmp_path).resumed == 0


def test_damaged_data_are_thrown_away(host: Served, tmp_path: Path) -> None:
    host.proxy.plan = [offer(b"<html>sign in</html>")]
    with pytest.raises(DataError, match="cannot be unpacked"):
        fetch(tmp_path)
    assert not (tmp_path / "data").exists()
    assert fetch(tmp_path).files == 4


def test_files_in_the_way_are_told_and_nothing_is_changed(host: Served, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/train.csv").write_text("mine\n")
    with pytest.raises(DataError, match=r"train\.csv: is here with other content"):
        fetch(tmp_path)
    assert names(tmp_path / "data") == ["train.csv"]
    (tmp_path / "data/train.csv").write_bytes((host.root / "files/train.csv").read_bytes())
    told = fetch(tmp_path)
    assert (told.files, told.unchanged) == (4, 1)


def test_a_busy_host_is_waited_for_and_a_refusal_explained(host: Served, tmp_path: Path) -> None:
    host.proxy.plan = [refusal("DownloadDataFiles", 429, shape="nested", headers={"Retry-After": "1"})]
    fetch(tmp_path)
    host.proxy.plan = [refusal("DownloadDataFiles", 429, headers={"Retry-After": "9999"})]
    with pytest.raises(BusyHostError, match="9999 s"):
        fetch(tmp_path / "again")
    host.proxy.plan = [refusal("DownloadDataFiles", 403, "You must accept this competition's rules")]
    with pytest.raises(HostError, match=r"403: You must accept.*\n.*competitions/toy-host/rules"):
        fetch(tmp_path / "again")


def test_the_leaderboard_keeps_out_of_the_datas_way(host: Served, tmp_path: Path) -> None:
    fetch(tmp_path)
    before = names(tmp_path / "data")
    told = download_board(Host(Door("toy-host")), tmp_path / ".kagkit", tmp_path / "board")
    assert told.files == 1
    assert names(tmp_path / "data") == before
    assert names(tmp_path / "board") != []


def test_nothing_but_an_older_leaderboard_is_replaced_by_a_leaderboard(host: Served, tmp_path: Path) -> None:
    fetch(tmp_path)
    before = names(tmp_path / "data")
    for _ in range(2):
        download_board(Host(Door("toy-host")), tmp_path / ".kagkit", tmp_path / "data")
    (added,) = {*names(tmp_path / "data")} - {*before}
    assert added.endswith("leaderboard.csv")
    assert {*before} < {*names(tmp_path / "data")}


def test_a_kill_while_data_are_unpacked_costs_no_second_download(
    host: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fall(archive: Path, folder: Path, hint: str) -> list[str]:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(downloading, "unpack", fall)
        with pytest.raises(KeyboardInterrupt):
            fetch(tmp_path)
    told = fetch(tmp_path)
    assert told.resumed == told.bytes


@pytest.mark.parametrize("there", [False, True])
def test_data_go_to_another_disk(there: bool, host: Served, tmp_path: Path) -> None:
    memory = Path("/dev/shm")
    if not memory.is_dir() or memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no other disk")
    with tempfile.TemporaryDirectory(dir=memory) as other:
        (tmp_path / "data").symlink_to(Path(other) / "data")
        if there:
            (Path(other) / "data").mkdir()
        assert fetch(tmp_path).files == 4
        assert len(names(Path(other) / "data")) == 4


def test_the_command_fetches_to_where_competition_yaml_has_the_data_and_pins_them(
    host: Served, tmp_path: Path
) -> None:
    make_client(tmp_path, 1)
    stage = {"train": "in/train.csv", "test": "in/test.csv", "files": ["in/images"]}
    write_competition(tmp_path, competition="toy-host", stages={1: stage})
    told = kagkit(tmp_path, "data", "download", "--json").json
    assert (told["folder"], told["files"], list(told["pinned"])) == ("in", 4, ["stage1"])
    assert "unchanged" in kagkit(tmp_path, "data", "verify").out
    assert "4 files, 4 of them there before" in kagkit(tmp_path, "data", "download").out
    elsewhere = kagkit(tmp_path, "data", "download", "elsewhere", "--competition", "toy-host").out
    assert elsewhere.startswith("elsewhere: 4 files, out of ")
    assert "needs DIR" in kagkit(tmp_path, "data", "download", "--leaderboard", code=2).err
    assert kagkit(tmp_path, "data", "download", "board", "--leaderboard").out.startswith("board: 1 file")


def test_a_host_here_that_is_gone_is_not_asked_for_long(
    host: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAGKIT_KAGGLE_ENDPOINT", "http://127.0.0.1:1")
    told: list[str] = []
    with pytest.raises(UnreachableHostError, match="is `kagkit host serve` running at"):
        download(Host(Door("toy-host", tell=told.append)), tmp_path / ".kagkit", tmp_path / "data")
    assert len(told) == 1


def test_outside_of_a_workspace_the_command_that_needs_none_is_named(tmp_path: Path) -> None:
    hint = "hint: cd into a workspace, or: kagkit data download DIR --competition NAME"
    assert hint in kagkit(tmp_path, "data", "download", code=2).err


def test_a_stack_trace_tells_no_signed_address(host: Served, tmp_path: Path) -> None:
    host.proxy.plan = [refusal(BLOB, 503, shape="html", times=99)]
    told = kagkit(tmp_path, "data", "download", "--competition", "toy-host", "--debug", code=6).err
    assert "Traceback" in told
    assert "signature" not in told
    assert host.key not in told
