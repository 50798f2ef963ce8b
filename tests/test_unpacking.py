from __future__ import annotations

import random
import stat
import zipfile
from contextlib import suppress
from pathlib import Path

import pytest

from kagkit.foundation import unpacking
from kagkit.foundation.errors import DataError, RunError
from kagkit.foundation.unpacking import unpack


def pack(path: Path, *members: tuple[str | zipfile.ZipInfo, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in members:
            packed.writestr(name, content, zipfile.ZIP_DEFLATED)
    return path


def test_files_come_out_as_they_went_in(tmp_path: Path) -> None:
    archive = pack(tmp_path / "a.zip", ("train.csv", b"id\n1\n"), ("images/é.png", bytes(99)), ("no/", b""))
    assert unpack(archive, tmp_path / "out") == ["train.csv", "images/é.png"]
    assert (tmp_path / "out/train.csv").read_bytes() == b"id\n1\n"
    assert (tmp_path / "out/images/é.png").read_bytes() == bytes(99)


@pytest.mark.parametrize(
    "name", ["../evil", "/etc/evil", "a/../../evil", "a\\..\\evil", "C:/evil", "a\nb", ".", "x" * 300]
)
def test_names_that_lead_elsewhere_are_refused(name: str, tmp_path: Path) -> None:
    archive = pack(tmp_path / "a.zip", ("train.csv", b"id\n"), (name, b"x"))
    with pytest.raises(DataError, match="leads out of the folder"):
        unpack(archive, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]


def test_links_and_devices_are_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with pytest.raises(DataError, match="link: neither a file nor a folder"):
        unpack(pack(tmp_path / "a.zip", (link, b"/etc/passwd")), tmp_path / "out")


def test_a_bomb_is_refused_before_a_byte_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacking, "RATIO", 100)
    archive = pack(tmp_path / "a.zip", ("zeros", bytes(10_000_000)))
    with pytest.raises(DataError, match="zeros: claims 10,000,000 bytes packed into"):
        unpack(archive, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_size_that_is_not_true_is_found_out(tmp_path: Path) -> None:
    archive = pack(tmp_path / "a.zip", ("a.csv", b"x" * 5000))
    content = bytearray(archive.read_bytes())
    directory = content.rindex(b"PK\x01\x02")
    content[directory + 24 : directory + 28] = (4000).to_bytes(4, "little")
    archive.write_bytes(content)
    with pytest.raises(DataError, match="cannot be unpacked"):
        unpack(archive, tmp_path / "out")


def test_a_disk_too_small_is_asked_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacking, "SPARE", 1 << 60)
    with pytest.raises(RunError, match=r"the disk is too small\n  disk: .* MB are free"):
        unpack(pack(tmp_path / "a.zip", ("a", b"x")), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_two_files_with_one_name_are_refused(tmp_path: Path) -> None:
    archive = pack(tmp_path / "a.zip", ("Train.csv", b"1"), ("train.csv", b"2"))
    with pytest.raises(DataError, match=r"train\.csv: is Train\.csv as well"):
        unpack(archive, tmp_path / "out")


@pytest.mark.parametrize("place", [0, 40, -30])
def test_damage_is_told(place: int, tmp_path: Path) -> None:
    archive = pack(tmp_path / "a.zip", ("a.csv", bytes(range(256)) * 40))
    content = bytearray(archive.read_bytes())
    content[place] ^= 0xFF
    archive.write_bytes(content[:-30] if place < 0 else content)
    with pytest.raises(DataError, match=r"a\.zip|damaged"):
        unpack(archive, tmp_path / "out")


def test_a_leaderboard_of_kaggles_comes_out_whose_name_tells_the_time(tmp_path: Path) -> None:
    name = "toy-publicleaderboard-2026-05-02T13:52:04.csv"
    assert unpack(pack(tmp_path / "a.zip", (name, b"Rank\n")), tmp_path / "out") == [name]


def test_a_name_of_a_file_and_of_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="a: is a file and a folder"):
        unpack(pack(tmp_path / "a.zip", ("a", b"1"), ("A/b", b"2")), tmp_path / "out")


@pytest.mark.parametrize(
    "kind", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
)
def test_every_damage_is_told_as_one(kind: int, tmp_path: Path) -> None:
    draws, archive = random.Random(kind), tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w", kind) as packed:
        packed.writestr("a/ü.csv", "id,x\n" + "".join(f"{n},{draws.random()}\n" for n in range(30)))
    whole = archive.read_bytes()
    for number in range(150):
        damaged = bytearray(whole)
        damaged[draws.randrange(len(whole))] ^= 1 + draws.randrange(255)
        archive.write_bytes(damaged)
        with suppress(DataError):
            unpack(archive, tmp_path / f"out{number}")
