from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import unicodedata
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from kagkit.data import surveys
from kagkit.data.listings import Change, Entry, Listing, compare, read_listing, write_listing
from kagkit.data.surveys import CACHE, RACY_NS, Glance, glance, survey
from kagkit.data.versions import LOCK, pin, read_lock, verify
from kagkit.foundation.errors import DataError
from kagkit.foundation.files import CHUNK

STAGE1 = {
    "train": ["data/stage1/train.csv"],
    "test": ["data/stage1/test.csv"],
    "files": ["data/stage1/images"],
}
IMAGES = {"files": ["images"]}
MANY = f"{{sha256: {'b' * 64}, files: 1, bytes: many}}"


def write(root: Path, path: str, content: bytes | str = b"x") -> Path:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return file


def rest() -> None:
    """Let files grow old enough for their times to be trusted."""
    time.sleep(1.5 * RACY_NS / 1e9)


def version(root: Path, declared: dict[str, list[str]]) -> str:
    return survey(root, "stage1", declared).listing.version


def kinds(changes: list[Change] | tuple[Change, ...]) -> list[tuple[str, str]]:
    return [(change.kind, change.path) for change in changes]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write(tmp_path, "data/stage1/train.csv", "ImageId,y\na,0\nb,1\n")
    write(tmp_path, "data/stage1/test.csv", "ImageId\nc\n")
    for name in ("a.png", "b.png", "c/c.png"):
        write(tmp_path, f"data/stage1/images/{name}", f"content of {name}")
    return tmp_path


@pytest.fixture
def unprivileged() -> Iterator[Path]:
    """A folder of somebody who may not read everything, also where the tests run as root."""
    was_root = os.geteuid() == 0
    folder = Path(tempfile.mkdtemp())
    if was_root:
        os.chown(folder, 65534, 65534)
        os.seteuid(65534)
    yield folder
    if was_root:
        os.seteuid(0)
    subprocess.run(["chmod", "-R", "u+rwx", folder], check=True)
    shutil.rmtree(folder)


# What a version is


def test_version_is_the_digest_of_sorted_parts_names_and_contents(root: Path) -> None:
    triples = sorted(
        [part, name, hashlib.sha256((root / "data/stage1" / path).read_bytes()).hexdigest()]
        for part, name, path in [
            ("train", "", "train.csv"),
            ("test", "", "test.csv"),
            ("files", "images/a.png", "images/a.png"),
            ("files", "images/b.png", "images/b.png"),
            ("files", "images/c/c.png", "images/c/c.png"),
        ]
    )
    text = json.dumps(triples, separators=(",", ":"))
    assert version(root, STAGE1) == hashlib.sha256(text.encode()).hexdigest()


def test_a_moved_data_folder_and_other_times_are_the_same_version(root: Path) -> None:
    before = version(root, STAGE1)
    (root / "data/stage1").rename(root / "elsewhere")
    (root / "elsewhere/train.csv").rename(root / "elsewhere/renamed.csv")
    os.utime(root / "elsewhere/images/a.png", (1, 1))
    moved = {
        "train": ["elsewhere/renamed.csv"],
        "test": ["./elsewhere/test.csv"],
        "files": ["elsewhere/images/"],
    }
    assert version(root, moved) == before


@pytest.mark.parametrize("change", ["rename", "content", "add", "remove", "part"])
def test_every_change_of_a_file_is_another_version(root: Path, change: str) -> None:
    before, declared, image = version(root, STAGE1), dict(STAGE1), root / "data/stage1/images/a.png"
    if change == "rename":
        image.rename(image.with_name("z.png"))
    elif change == "content":
        image.write_bytes(image.read_bytes() + b"!")
    elif change == "add":
        image.with_name("new.png").write_bytes(b"")
    elif change == "remove":
        image.unlink()
    else:
        declared["train"], declared["test"] = declared["test"], declared["train"]
    assert version(root, declared) != before


def test_parts_have_their_own_digests_and_a_table_that_of_sha256sum(root: Path) -> None:
    before = survey(root, "stage1", STAGE1).listing.parts
    write(root, "data/stage1/images/a.png", "other")
    after = survey(root, "stage1", STAGE1).listing.parts
    assert list(before) == ["files", "test", "train"]
    assert before["train"].sha256 == hashlib.sha256(b"ImageId,y\na,0\nb,1\n").hexdigest()
    assert (before["train"].files, before["train"].bytes, before["files"].files) == (1, 18, 3)
    assert [part for part in before if before[part] != after[part]] == ["files"]


@given(st.permutations(range(6)))
@settings(max_examples=20, deadline=None)
def test_version_does_not_depend_on_the_order_of_files(order: list[int]) -> None:
    entries = [Entry("files", f"d/{n}", f"d/{n}", f"{n}" * 64, n) for n in range(6)]
    shuffled = Listing("s", tuple(entries[n] for n in order))
    assert shuffled.version == Listing("s", tuple(entries)).version
    assert shuffled.parts == Listing("s", tuple(entries)).parts


def test_folders_of_one_name_are_told_apart_by_what_is_above_them(tmp_path: Path) -> None:
    write(tmp_path, "data/train/images/1.png", "one")
    write(tmp_path, "data/test/images/1.png", "two")
    declared = {"files": ["data/train/images", "data/test/images"]}
    listing = survey(tmp_path, "s", declared).listing
    assert [entry.name for entry in listing.entries] == ["test/images/1.png", "train/images/1.png"]
    (tmp_path / "data/train").rename(tmp_path / "data/swap")
    (tmp_path / "data/test").rename(tmp_path / "data/train")
    (tmp_path / "data/swap").rename(tmp_path / "data/test")
    assert version(tmp_path, declared) != listing.version


def test_order_is_that_of_paths_as_utf8(tmp_path: Path) -> None:
    for name in ["\U0001f600.png", "\uff5a.png", "画像 一.png", "Z.png", "a/b.png", "a.png", "a b.png"]:
        write(tmp_path, f"images/{name}")
    paths = [entry.path.encode() for entry in survey(tmp_path, "s", IMAGES).listing.entries]
    assert len(paths) == 7
    assert paths == sorted(paths)


# What counts as a file


def test_links_are_followed_by_content_also_out_of_the_workspace(tmp_path: Path) -> None:
    copy, linked = tmp_path / "copy", tmp_path / "linked"
    write(copy, "images/a/1.png", "one")
    write(copy, "images/2.png", "two")
    write(tmp_path, "disk/a/1.png", "one")
    write(tmp_path, "disk/two", "two")
    (linked / "images").mkdir(parents=True)
    (linked / "images/a").symlink_to(tmp_path / "disk/a")
    (linked / "images/2.png").symlink_to("../../disk/two")
    assert version(linked, IMAGES) == version(copy, IMAGES)
    (tmp_path / "disk/two").write_text("2")
    assert version(linked, IMAGES) != version(copy, IMAGES)


def test_one_folder_linked_twice_is_no_cycle(tmp_path: Path) -> None:
    write(tmp_path, "images/a/1.png")
    (tmp_path / "images/b").symlink_to("a")
    assert len(survey(tmp_path, "s", IMAGES).listing.entries) == 2


def test_hidden_files_count_and_what_desktops_leave_behind_does_not(tmp_path: Path) -> None:
    write(tmp_path, "images/1.png")
    write(tmp_path, "images/.hidden")
    before = version(tmp_path, IMAGES)
    for name in (".DS_Store", "Thumbs.db", ".ipynb_checkpoints/1.png"):
        write(tmp_path, f"images/{name}")
    (tmp_path / "images/empty").mkdir()
    assert version(tmp_path, IMAGES) == before
    (tmp_path / "images/.hidden").unlink()
    assert version(tmp_path, IMAGES) != before


def test_a_file_in_two_parts_is_read_once(root: Path) -> None:
    declared = {"train": ["data/stage1/train.csv"], "files": ["data"]}
    seen = survey(root, "s", declared)
    assert [entry.path for entry in seen.listing.entries].count("data/stage1/train.csv") == 2
    assert seen.hashed == len(seen.listing.entries) - 1


def test_everything_that_cannot_be_used_is_told_at_once(tmp_path: Path) -> None:
    images = write(tmp_path, "images/a.png").parent
    for number in range(7):
        (images / f"gone{number}.png").symlink_to("nowhere")
    (images / "deep").mkdir()
    (images / "deep/back").symlink_to("..")
    (images / "loop").symlink_to("loop")
    os.mkfifo(images / "pipe")
    (images / b"caf\xe9.png".decode("utf-8", "surrogateescape")).touch()
    (tmp_path / "empty/below").mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as listener:
        folder = os.open(images, os.O_RDONLY)
        listener.bind(f"/proc/self/fd/{folder}/socket")  # a socket's own path must be short
        os.close(folder)
        declared = {
            "train": ["images"],
            "test": ["test.csv"],
            "files": ["images", "empty", str(tmp_path / "secret/file"), "../out", "."],
        }
        with pytest.raises(DataError, match="the data of s cannot be used") as caught:
            survey(tmp_path, "s", declared)
    told = {problem.found: problem.where for problem in caught.value.problems}
    gone = "images/gone0.png, images/gone1.png, images/gone2.png, images/gone3.png, images/gone4.png"
    assert told == {
        "a folder where one file belongs": "images",
        "not there": "test.csv",
        "a link to nothing": f"{gone} and 2 more",
        "a link that leads back to where it is": "images/deep/back, images/loop",
        "neither a file nor a folder": "images/pipe, images/socket",
        "a name that is not UTF-8": "images/caf\\udce9.png",
        "a folder without a file": "empty",
        "an absolute path": ".../file",
        "leaves the workspace": "../out",
        "the workspace itself": ".",
    }
    assert all(problem.hint for problem in caught.value.problems)
    assert "ln -s" in str(caught.value)
    assert str(tmp_path) not in str(caught.value)
    str(caught.value).encode()


def test_a_cycle_over_two_links_is_told_by_its_link(tmp_path: Path) -> None:
    write(tmp_path, "images/1.png")
    write(tmp_path, "other/2.png")
    (tmp_path / "images/out").symlink_to("../other")
    (tmp_path / "other/home").symlink_to("..")
    with pytest.raises(DataError, match=r"images/out/home: a link that leads back"):
        survey(tmp_path, "s", IMAGES)


def test_a_folder_of_which_nothing_can_be_used_is_not_called_empty_too(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images/gone").symlink_to("nowhere")
    with pytest.raises(DataError, match="images/gone: a link to nothing") as caught:
        survey(tmp_path, "s", IMAGES)
    assert len(caught.value.problems) == 1


def test_repeated_and_surplus_paths_are_refused(root: Path) -> None:
    declared = {"train": ["a.csv", "b.csv"], "files": ["data", "data/stage1", "./data"]}
    with pytest.raises(DataError) as caught:
        survey(root, "s", declared)
    assert {(problem.where, problem.found.split(",")[0]) for problem in caught.value.problems} == {
        ("train", "several paths for one part"),
        ("data, data/stage1", "declared twice"),
    }


@pytest.mark.parametrize("declared", [{}, {"files": []}])
def test_nothing_declared_is_told(root: Path, declared: dict[str, list[str]]) -> None:
    with pytest.raises(DataError, match="s: no file or folder is declared"):
        survey(root, "s", declared)


def test_unreadable_files_and_folders_are_told_beside_other_problems(unprivileged: Path) -> None:
    write(unprivileged, "images/closed.png").chmod(0)
    write(unprivileged, "images/folder/1.png").parent.chmod(0)
    with pytest.raises(DataError, match=r"images/folder: cannot be read \(Permission denied\)"):
        survey(unprivileged, "s", IMAGES)
    (unprivileged / "images/gone").symlink_to("nowhere")
    with pytest.raises(DataError, match=r"images/closed.png, images/folder: cannot be read") as caught:
        survey(unprivileged, "s", IMAGES)
    assert "images/gone: a link to nothing" in str(caught.value)


def test_a_file_that_fails_while_it_is_read_is_told_and_the_others_are_remembered(tmp_path: Path) -> None:
    write(tmp_path, "images/1.png")
    (tmp_path / "images/broken").symlink_to("/proc/self/mem")
    rest()
    with pytest.raises(DataError, match=r"images/broken: cannot be read \(Input/output error\)"):
        survey(tmp_path, "s", IMAGES)
    (tmp_path / "images/broken").unlink()
    assert survey(tmp_path, "s", IMAGES).unchanged == 1


# Reading again only what was touched


def test_a_second_survey_reads_nothing_and_a_deep_one_everything(root: Path) -> None:
    rest()
    first, second = survey(root, "s", STAGE1), survey(root, "s", STAGE1)
    assert (first.hashed, first.unchanged) == (5, 0)
    assert (second.hashed, second.unchanged) == (0, 5)
    assert second.listing == first.listing
    assert survey(root, "s", STAGE1, deep=True).hashed == 5


def test_same_size_and_same_mtime_do_not_hide_a_change(root: Path) -> None:
    image = root / "data/stage1/images/a.png"
    rest()
    before, status = version(root, STAGE1), image.stat()
    image.write_bytes(image.read_bytes()[::-1])
    os.utime(image, ns=(status.st_atime_ns, status.st_mtime_ns))
    seen = survey(root, "stage1", STAGE1)
    assert seen.listing.version != before
    assert seen.hashed == 1


def test_a_file_written_just_now_is_not_trusted(tmp_path: Path) -> None:
    write(tmp_path, "images/1.png", "one")
    assert survey(tmp_path, "s", IMAGES).hashed == 1
    assert survey(tmp_path, "s", IMAGES).hashed == 1
    rest()
    survey(tmp_path, "s", IMAGES)
    assert survey(tmp_path, "s", IMAGES).hashed == 0


def test_an_old_mtime_does_not_make_a_young_file_trusted(tmp_path: Path) -> None:
    os.utime(write(tmp_path, "images/1.png", "one"), (1, 1))
    assert survey(tmp_path, "s", IMAGES).hashed == 1
    assert survey(tmp_path, "s", IMAGES).hashed == 1


def test_nothing_new_writes_nothing(root: Path) -> None:
    rest()
    survey(root, "s", STAGE1)
    before = (root / CACHE).stat().st_ino
    survey(root, "s", STAGE1)
    assert (root / CACHE).stat().st_ino == before


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_a_damaged_memory_only_costs_time(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(surveys, "RACY_NS", -(10**18))  # trust at once: no example should wait
        root = Path(folder)
        write(root, "images/1.png", "one")
        before = survey(root, "s", IMAGES).listing
        assert survey(root, "s", IMAGES).hashed == 0
        whole = (root / CACHE).read_bytes()
        at = data.draw(st.integers(0, len(whole) - 1))
        flipped = whole[:at] + bytes([whole[at] ^ data.draw(st.integers(1, 255))]) + whole[at + 1 :]
        for damaged in (flipped, whole[:at], data.draw(st.binary(max_size=20))):
            (root / CACHE).write_bytes(damaged)
            seen = survey(root, "s", IMAGES)
            assert (seen.listing, seen.hashed) == (before, 1)


def test_a_memory_of_another_format_is_not_read(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rest()
    survey(root, "s", STAGE1)
    monkeypatch.setattr(surveys, "CACHE_FORMAT", 2)
    assert survey(root, "s", STAGE1).hashed == 5


def test_a_memory_that_cannot_be_kept_is_no_error(root: Path) -> None:
    write(root, ".kagkit", "a file where a folder belongs")
    assert survey(root, "s", STAGE1).hashed == 5


def test_memory_keeps_every_source_and_forgets_files_that_are_gone(root: Path) -> None:
    write(root, "chexpert/1.png")
    rest()
    survey(root, "stage1", STAGE1)
    survey(root, "chexpert", {"files": ["chexpert"]})
    (root / "data/stage1/images/a.png").unlink()
    assert survey(root, "stage1", STAGE1).hashed == 0
    kept = json.loads((root / CACHE).read_text().splitlines()[1])
    assert {source: len(files) for source, files in kept.items()} == {"stage1": 4, "chexpert": 1}
    assert str(root) not in (root / CACHE).read_text()


def test_a_glance_says_what_a_survey_would_say(root: Path) -> None:
    assert glance(root, "s", STAGE1) is None
    rest()
    listing = survey(root, "s", STAGE1).listing
    size = sum(entry.size for entry in listing.entries)
    assert glance(root, "s", STAGE1) == Glance(listing.version, 5, size)
    assert glance(root, "other", STAGE1) is None
    assert glance(root, "s", {"files": STAGE1["files"]}) is None


@pytest.mark.parametrize(
    "touch",
    [
        lambda images: (images / "a.png").write_bytes(b"content of x.png"),
        lambda images: os.utime(images / "a.png", (1, 1)),
        lambda images: (images / "a.png").unlink(),
        lambda images: (images / "a.png").rename(images / "z.png"),
        lambda images: (images / "new.png").touch(),
        lambda images: shutil.copy2(images / "a.png", images / "b.png"),
    ],
)
def test_a_glance_sees_whatever_was_touched(root: Path, touch: Callable[[Path], object]) -> None:
    rest()
    survey(root, "s", STAGE1)
    assert glance(root, "s", STAGE1) is not None
    touch(root / "data/stage1/images")
    assert glance(root, "s", STAGE1) is None


def test_a_glance_does_not_trust_young_files(root: Path) -> None:
    survey(root, "s", STAGE1)
    assert glance(root, "s", STAGE1) is None


def test_a_glance_at_a_memory_of_another_format_says_nothing(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rest()
    survey(root, "s", STAGE1)
    monkeypatch.setattr(surveys, "CACHE_FORMAT", 2)
    assert glance(root, "s", STAGE1) is None


def test_a_file_that_becomes_a_table_is_read_again_for_its_line_ends(root: Path) -> None:
    write(root, "data/stage1/train.csv", "a\r\nb\r\n")
    rest()
    survey(root, "s", {"files": ["data/stage1/train.csv"]})
    seen = survey(root, "s", {"train": ["data/stage1/train.csv"]})
    assert (seen.hashed, seen.listing.entries[0].lf_sha256) == (1, hashlib.sha256(b"a\nb\n").hexdigest())


def test_progress_ends_with_everything(root: Path) -> None:
    told: list[tuple[int, int]] = []
    listing = survey(root, "s", STAGE1, progress=lambda *done: told.append(done)).listing
    assert told[-1] == (5, sum(entry.size for entry in listing.entries))


def test_progress_is_told_at_most_ten_times_a_second(tmp_path: Path) -> None:
    os.truncate(write(tmp_path, "images/large"), 200 * CHUNK)
    told: list[tuple[int, int]] = []
    seen = survey(tmp_path, "s", IMAGES, progress=lambda *done: told.append(done))
    assert len(told) <= 10 * seen.seconds + 2


def test_a_file_that_changes_once_while_it_is_read_is_read_once_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(surveys, "TELL_EVERY_SECONDS", 0)
    file = write(tmp_path, "images/large", b"x" * (3 * CHUNK))

    def append_once(files: int, done: int) -> None:
        if done == CHUNK and file.stat().st_size == 3 * CHUNK:
            file.write_bytes(b"y" * (3 * CHUNK + 1))

    entry = survey(tmp_path, "s", IMAGES, progress=append_once).listing.entries[0]
    assert (entry.size, entry.sha256) == (3 * CHUNK + 1, hashlib.sha256(file.read_bytes()).hexdigest())


def test_a_file_that_keeps_changing_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(surveys, "TELL_EVERY_SECONDS", 0)
    file = write(tmp_path, "images/large", b"x" * (2 * CHUNK))

    def append(files: int, done: int) -> None:
        with file.open("ab") as stream:
            stream.write(b"more")

    with pytest.raises(DataError, match="images/large: changed while it was read, twice"):
        survey(tmp_path, "s", IMAGES, progress=append)


def test_a_file_that_is_longer_than_it_says_is_refused(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images/version").symlink_to("/proc/version")  # 0 bytes long, says the kernel
    with pytest.raises(DataError, match="images/version: changed while it was read"):
        survey(tmp_path, "s", IMAGES)


def test_ctrl_c_loses_nothing_that_was_read(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(surveys, "TELL_EVERY_SECONDS", 0)
    rest()

    def interrupt(files: int, done: int) -> None:
        if files == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        survey(root, "s", STAGE1, progress=interrupt)
    assert survey(root, "s", STAGE1).unchanged == 3


# Line ends


@pytest.mark.parametrize("content", [b"a\r\nb\r\n", b"a\rb\n", b"a\nb\r"])
def test_other_line_ends_have_the_digest_they_would_have_with_lf(tmp_path: Path, content: bytes) -> None:
    write(tmp_path, "train.csv", content)
    entry = survey(tmp_path, "s", {"train": ["train.csv"]}).listing.entries[0]
    assert entry.lf_sha256 == hashlib.sha256(b"a\nb\n").hexdigest()


def test_a_table_with_lf_and_a_file_that_is_no_table_have_none(tmp_path: Path) -> None:
    write(tmp_path, "train.csv", b"a\nb")
    write(tmp_path, "images/1.png", b"\r\n")
    entries = survey(tmp_path, "s", {"train": ["train.csv"], **IMAGES}).listing.entries
    assert [entry.lf_sha256 for entry in entries] == [None, None]


@pytest.mark.parametrize("before", [CHUNK - 2, CHUNK - 1, CHUNK])
def test_line_ends_across_two_blocks_count_once(tmp_path: Path, before: int) -> None:
    write(tmp_path, "train.csv", b"x" * before + b"\r\n\nend")
    entry = survey(tmp_path, "s", {"train": ["train.csv"]}).listing.entries[0]
    assert entry.lf_sha256 == hashlib.sha256(b"x" * before + b"\n\nend").hexdigest()


# Listings


def test_a_listing_is_proved_by_sha256sum_whatever_the_names(tmp_path: Path) -> None:
    names = [
        "画像/が.png",
        "two  spaces.png",
        " # not a comment",
        "back\\slash.png",
        "new\nline.png",
        "cr\r",
        "*s",
    ]
    for name in names:
        write(tmp_path, f"images/{name}", name)
    write(tmp_path, "train.csv", "a\r\n")
    pinned = pin(tmp_path, "stage1", {"train": ["train.csv"], **IMAGES})
    check = ["sha256sum", "--check", "--strict", f"runs/.data/{pinned.version}.sha256"]
    proved = subprocess.run(check, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert proved.returncode == 0, proved.stdout + proved.stderr
    assert proved.stdout.count(": OK") == len(names) + 1
    assert not proved.stderr
    assert (
        read_listing(tmp_path, pinned.version)
        == survey(tmp_path, "stage1", {"train": ["train.csv"], **IMAGES}).listing
    )
    lines = (tmp_path / check[-1]).read_bytes().split(b"\n")
    printed = subprocess.run(
        ["sha256sum", *sorted(f"images/{name}" for name in names), "train.csv"],
        cwd=tmp_path,
        capture_output=True,
        check=True,
    ).stdout
    assert [line for line in lines if not line.startswith(b"# ")] == printed.split(b"\n")
    write(tmp_path, "images/new\nline.png", "other")
    assert subprocess.run(check, cwd=tmp_path, capture_output=True, check=False).returncode == 1


def test_a_listing_reads_as_written_down_here(tmp_path: Path) -> None:
    train = Entry("train", "data/train.csv", "", "a" * 64, 61194, "b" * 64)
    image = Entry("files", "data/images/1.png", "images/1.png", "c" * 64, 4096)
    path = write_listing(tmp_path, Listing("stage1", (image, train)))
    assert path.read_text().splitlines() == [
        "# source stage1",
        "# 4096 files name:5",
        f"{'c' * 64}  data/images/1.png",
        f"# 61194 train name:14 lf:{'b' * 64}",
        f"{'a' * 64}  data/train.csv",
    ]


names = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1)


@given(st.lists(st.tuples(names, st.integers(0, 2**50), st.booleans()), unique_by=lambda file: file[0]))
@settings(max_examples=50, deadline=None)
def test_a_listing_comes_back_as_it_was_written(files: list[tuple[str, int, bool]]) -> None:
    entries = tuple(
        Entry(
            "files",
            f"data/{name}",
            name,
            hashlib.sha256(name.encode()).hexdigest(),
            size,
            "e" * 64 if lf else None,
        )
        for name, size, lf in files
    )
    listing = Listing("chexpert", entries)
    with tempfile.TemporaryDirectory() as folder:
        write_listing(Path(folder), listing)
        assert read_listing(Path(folder), listing.version) == listing


def test_a_missing_listing_is_none_and_a_damaged_one_is_refused(root: Path) -> None:
    pinned = pin(root, "s", STAGE1)
    assert read_listing(root, "0" * 64) is None
    path = root / f"runs/.data/{pinned.version}.sha256"
    whole = path.read_bytes()
    digest = whole.index(b"  data/")
    for damaged in (
        whole[:-1],
        whole[:100],
        b"",
        b"\xff" + whole,
        whole + b"more\n",
        whole[: digest - 1] + (b"0" if whole[digest - 1 : digest] != b"0" else b"1") + whole[digest:],
    ):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match="damaged") as caught:
            read_listing(root, pinned.version)
        assert str(root) not in str(caught.value)


# What changed


def test_compare_says_what_became_of_every_file(root: Path) -> None:
    images = root / "data/stage1/images"
    write(root, "data/stage1/images/d.png", "12345")
    write(root, "data/stage1/images/e.png", "1" * 1200)
    before = survey(root, "s", STAGE1).listing
    write(root, "data/stage1/train.csv", "ImageId,y\r\na,0\r\nb,1\r\n")
    write(root, "data/stage1/images/a.png", "new")
    write(root, "data/stage1/images/d.png", "54321")
    write(root, "data/stage1/images/new.png", "1234")
    (images / "b.png").rename(images / "c/b.png")
    (images / "e.png").unlink()
    after = survey(root, "s", STAGE1).listing
    assert compare(before, before) == []
    assert compare(before, after) == [
        Change("changed", "files", "data/stage1/images/a.png", "16 bytes -> 3 bytes"),
        Change("renamed", "files", "data/stage1/images/c/b.png", "was data/stage1/images/b.png"),
        Change("changed", "files", "data/stage1/images/d.png", "5 bytes as before, with other content"),
        Change("removed", "files", "data/stage1/images/e.png", "1,200 bytes"),
        Change("added", "files", "data/stage1/images/new.png", "4 bytes"),
        Change(
            "line ends", "train", "data/stage1/train.csv", "only the line ends differ (CRLF now, LF then)"
        ),
    ]
    back = [change.detail for change in compare(after, before) if change.kind == "line ends"]
    assert back == ["only the line ends differ (LF now, CRLF then)"]


def test_equal_files_that_move_together_keep_their_order() -> None:
    def blank(folder: str) -> Listing:
        return Listing(
            "s", tuple(Entry("files", f"{folder}/{n}", f"{folder}/{n}", "0" * 64, 1) for n in range(3))
        )

    details = [(change.kind, change.path, change.detail) for change in compare(blank("old"), blank("new"))]
    assert details == [("renamed", f"new/{n}", f"was old/{n}") for n in range(3)]


def test_a_name_in_another_unicode_form_is_told_as_such(tmp_path: Path) -> None:
    name = "images/が.png"
    write(tmp_path, unicodedata.normalize("NFC", name))
    before = survey(tmp_path, "s", IMAGES).listing
    (tmp_path / unicodedata.normalize("NFC", name)).rename(tmp_path / unicodedata.normalize("NFD", name))
    (change,) = compare(before, survey(tmp_path, "s", IMAGES).listing)
    assert change.kind == "renamed"
    assert "another Unicode form" in change.detail


files = st.dictionaries(st.sampled_from("abcdef"), st.sampled_from("0123"), max_size=6)


@given(files, files)
@settings(max_examples=50, deadline=None)
def test_listings_without_a_change_are_one_version(old: dict[str, str], new: dict[str, str]) -> None:
    def listing(contents: dict[str, str]) -> Listing:
        return Listing("s", tuple(Entry("files", k, k, v * 64, 1) for k, v in sorted(contents.items())))

    changes = compare(listing(old), listing(new))
    assert (changes == []) == (listing(old).version == listing(new).version)
    told = [change.path for change in changes if change.kind != "removed"]
    assert set(told) == {name for name, content in new.items() if old.get(name) != content}
    grown = sum({"added": 1, "removed": -1}.get(change.kind, 0) for change in changes)
    assert grown == len(new) - len(old)


# Pinning and proving


def test_pin_and_verify_agree(root: Path) -> None:
    rest()
    pinned = pin(root, "stage1", STAGE1)
    verified = verify(root, "stage1", STAGE1)
    assert (pinned.hashed, pinned.unchanged, pinned.files) == (5, 0, 5)
    assert (verified.version, verified.changes, verified.hashed) == (pinned.version, (), 0)
    assert (verified.files, verified.bytes) == (5, pinned.bytes)
    assert verify(root, "stage1", STAGE1, deep=True).hashed == 5


def test_the_lock_is_sorted_and_stable_and_keeps_other_sources(root: Path) -> None:
    write(root, "chexpert/1.png")
    pin(root, "stage1", STAGE1)
    pin(root, "画像", {"files": ["chexpert"]})
    text = (root / LOCK).read_text(encoding="utf-8")
    pin(root, "stage1", STAGE1, deep=True)
    assert (root / LOCK).read_text(encoding="utf-8") == text
    lock = yaml.safe_load(text)
    assert text.startswith("# ")
    assert list(lock) == ["kagkit", "sources"]
    assert lock["kagkit"] == 1
    assert list(lock["sources"]) == ["stage1", "画像"]
    assert lock["sources"]["stage1"]["parts"]["test"] == {
        "bytes": 10,
        "files": 1,
        "sha256": hashlib.sha256(b"ImageId\nc\n").hexdigest(),
    }
    assert read_lock(root)["stage1"].parts == survey(root, "stage1", STAGE1).listing.parts
    assert str(root) not in text


def test_pins_at_the_same_time_keep_each_other(tmp_path: Path) -> None:
    sources = [f"source{number}" for number in range(6)]
    for source in sources:
        write(tmp_path, f"{source}/1.png", source)
    with ThreadPoolExecutor(6) as pool:
        pinned = list(pool.map(lambda source: pin(tmp_path, source, {"files": [source]}), sources))
    locked = read_lock(tmp_path)
    assert {source: locked[source].version for source in sources} == {
        source: one.version for source, one in zip(sources, pinned, strict=True)
    }


def test_verify_names_the_changed_files(root: Path) -> None:
    pin(root, "stage1", STAGE1)
    write(root, "data/stage1/images/c/c.png", "other")
    write(root, "data/stage1/test.csv", "ImageId\nc\nd\n")
    verified = verify(root, "stage1", STAGE1)
    assert kinds(verified.changes) == [
        ("changed", "data/stage1/images/c/c.png"),
        ("changed", "data/stage1/test.csv"),
    ]
    assert verified.changes[1].detail == "10 bytes -> 12 bytes"


def test_verify_without_the_listing_names_the_parts(root: Path) -> None:
    pinned = pin(root, "stage1", STAGE1)
    shutil.rmtree(root / "runs")
    assert verify(root, "stage1", STAGE1).changes == ()
    write(root, "data/stage1/images/new.png", "1234")
    write(root, "data/stage1/train.csv", "ImageId,y\r\na,0\r\nb,1\r\n")
    declared = {"train": STAGE1["train"], "files": STAGE1["files"], "extra": ["data/stage1/test.csv"]}
    size = pinned.bytes - 18 - 10
    assert list(verify(root, "stage1", declared).changes) == [
        Change("added", "extra", "data/stage1/test.csv", "1 file, 10 bytes"),
        Change(
            "changed", "files", "data/stage1/images", f"3 files, {size} bytes -> 4 files, {size + 4} bytes"
        ),
        Change(
            "line ends", "train", "data/stage1/train.csv", "only the line ends differ (CRLF now, LF then)"
        ),
        Change("removed", "test", "stage1/test", "1 file, 10 bytes"),
    ]


def test_what_was_never_pinned_is_told_to_be_pinned(root: Path) -> None:
    assert read_lock(root) == {}
    with pytest.raises(DataError, match="kagkit data pin"):
        verify(root, "stage1", STAGE1)


def test_an_unknown_lock_format_is_refused_and_left_alone(root: Path) -> None:
    write(root, LOCK, "kagkit: 2\nsources: {}\n")
    for command in (pin, verify):
        with pytest.raises(DataError, match=r"format 2; expected format 1\n.*upgrade"):
            command(root, "stage1", STAGE1)
    assert (root / LOCK).read_text() == "kagkit: 2\nsources: {}\n"


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        ("", "not as kagkit writes it"),
        ("- 1\n", "not as kagkit writes it"),
        ("kagkit: 1\n", "not as kagkit writes it"),
        ("kagkit: 1\nsources: {s: {version: abc, parts: {}}}\n", "not as kagkit writes it"),
        (f"kagkit: 1\nsources: {{s: {{version: {'a' * 64}}}}}\n", "not as kagkit writes it"),
        (
            f"kagkit: 1\nsources: {{s: {{version: {'a' * 64}, parts: {{train: {{sha256: {'b' * 64}}}}}}}}}\n",
            "not as kagkit writes it",
        ),
        (
            f"kagkit: 1\nsources: {{s: {{version: {'a' * 64}, parts: {{train: {MANY}}}}}}}\n",
            "not as kagkit writes it",
        ),
        ("kagkit: 1\n<<<<<<< ours\nsources: {}\n=======\n>>>>>>> theirs\n", "line 3 is not YAML"),
        ("kagkit: 1\nsources: !!python/name:os.system {}\n", "line 2 is not YAML"),
    ],
)
def test_a_damaged_lock_is_refused_with_the_way_out(root: Path, damage: str, found: str) -> None:
    write(root, LOCK, damage)
    told: list[int] = []
    with pytest.raises(DataError, match="damaged") as caught:
        pin(root, "stage1", STAGE1, progress=lambda *done: told.extend(done))
    assert caught.value.problems[0].found == found
    assert "git checkout data.lock.yaml" in caught.value.problems[0].hint
    assert not told  # before the work


def test_a_lock_that_contradicts_itself_is_not_taken_for_unchanged(root: Path) -> None:
    pinned = pin(root, "stage1", STAGE1)
    lock = (root / LOCK).read_text()
    (root / LOCK).write_text(lock.replace(pinned.version, "f" * 64))
    with pytest.raises(DataError, match="the version of stage1 is not that of its parts"):
        verify(root, "stage1", STAGE1)


def test_one_flipped_bit_anywhere_is_found(root: Path) -> None:
    pin(root, "stage1", STAGE1)
    draw = random.Random(7)
    for path in sorted(path for path in (root / "data").rglob("*") if path.is_file()):
        whole = path.read_bytes()
        flipped = bytearray(whole)
        flipped[draw.randrange(len(whole))] ^= 1 << draw.randrange(8)
        path.write_bytes(flipped)
        assert [change.path for change in verify(root, "stage1", STAGE1).changes] == [
            str(path.relative_to(root))
        ]
        path.write_bytes(whole)


def test_importing_versions_loads_nothing_heavy() -> None:
    code = "import kagkit.data.versions, sys; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"pandas", "numpy", "pyarrow", "yaml", "filelock", "asyncio"} & set(loaded)
