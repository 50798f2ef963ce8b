"""A host as its participants meet it: the real kaggle client, raw HTTP, kills and restarts."""

from __future__ import annotations

import base64
import csv
import http.client
import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from kagkit.foundation.files import file_sha256
from tests.hosting import SOLUTION, answer, write_host
from tests.patience import PATIENCE, wait_for
from tests.workshop import end_of

C = "competitions.CompetitionApiService"
PYTHON = Path(sys.executable)
KAGKIT = (str(PYTHON), "-P", "-c", "from kagkit.cli import main; main()")


@dataclass
class Served:
    """A host being served in a process of its own."""

    root: Path
    process: subprocess.Popen[str]
    facts: dict[str, Any]

    @classmethod
    def start(cls, root: Path, *words: str) -> Served:
        """Serve a folder; returns once requests are answered."""
        process = subprocess.Popen(
            [*KAGKIT, "host", "serve", str(root), "--json", "--port", "0", *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert process.stdout is not None
        line = process.stdout.readline()
        try:
            return cls(root, process, json.loads(line))
        except ValueError:
            raise AssertionError(line + process.stdout.read()) from None

    @property
    def port(self) -> int:
        return int(self.facts["port"])

    def end(self, number: int = signal.SIGTERM) -> None:
        """End it; in peace, or by a kill."""
        self.process.send_signal(number)
        end_of(self.process, -9 if number == signal.SIGKILL else 0)

    def ask(
        self, verb: str, path: str, body: bytes = b"", **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        """One request; status, headers by their small names, body."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)) as line:
            line.request(verb, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
            reply = line.getresponse()
            return reply.status, {name.lower(): value for name, value in reply.getheaders()}, reply.read()

    def call(self, method: str, user: str = "ann", **asked: Any) -> Any:
        """One method of Kaggle's API that must succeed."""
        status, _, body = self.ask(
            "POST", f"/v1/{method}", json.dumps(asked).encode(), Authorization=basic(user)
        )
        assert status == 200, body
        return json.loads(body)

    def promise(self, content: bytes, user: str = "ann") -> tuple[str, str]:
        """Announce a submission; its token, and the path its bytes go to."""
        asked = {"competitionName": "toy", "contentLength": len(content), "fileName": "submission.csv"}
        started = self.call(f"{C}/StartSubmissionUpload", user, **asked)
        return started["token"], urlsplit(started["createUrl"]).path

    def submit(self, content: bytes, user: str = "ann") -> int:
        """Upload and submit; the number."""
        token, path = self.promise(content, user)
        assert self.ask("PUT", path, content)[0] == 200
        ref: int = self.call(f"{C}/CreateSubmission", user, competitionName="toy", blobFileTokens=token)[
            "ref"
        ]
        return ref

    def scored(self, ref: int, user: str = "ann") -> dict[str, Any]:
        """A submission once it is no longer pending."""
        wait_for(
            lambda: self.call(f"{C}/GetSubmission", user, ref=ref)["status"] != "PENDING", f"{ref} is scored"
        )
        told: dict[str, Any] = self.call(f"{C}/GetSubmission", user, ref=ref)
        return told


def basic(user: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{user}'s".encode()).decode()


Start = Callable[..., Served]


@pytest.fixture
def start() -> Iterator[Start]:
    """Serves a folder in a process that ends with the test, whatever becomes of it."""
    hosts = []

    def serve(root: Path, *words: str) -> Served:
        hosts.append(Served.start(root, *words))
        return hosts[-1]

    yield serve
    for host in hosts:
        if host.process.poll() is None:
            host.end()


@pytest.fixture
def served(start: Start, tmp_path: Path) -> Served:
    root = tmp_path / "toy"
    write_host(root, limits={"daily": 20})
    (root / "files/large.csv").write_text("id,x\n" + "".join(f"r{n},{n}\n" for n in range(120_000)))
    return start(root)


@dataclass
class Kaggle:
    """The kaggle program, pointed at a host as its page of help says: an unmodified client."""

    home: Path
    port: int

    def run(self, *words: str | Path, code: int = 0, **variables: str) -> str:
        """What the program prints."""
        kept = {
            k: v for k, v in os.environ.items() if not k.upper().startswith(("KAGGLE", "VERBOSE", "NO_PROXY"))
        }
        ours = {
            "HOME": str(self.home),
            "TMPDIR": str(self.home),
            "KAGGLE_CONFIG_DIR": str(self.home),
            "KAGGLE_API_ENVIRONMENT": "LOCALHOST",
            "http_proxy": f"http://127.0.0.1:{self.port}",
            **(variables or {"KAGGLE_USERNAME": "ann", "KAGGLE_KEY": "ann's"}),
        }
        kept.pop("no_proxy", None)
        done = subprocess.run(
            [PYTHON.with_name("kaggle"), *words], env=kept | ours, capture_output=True, text=True, check=False
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout


def rows(text: str) -> list[dict[str, str]]:
    """The rows of a table that the kaggle program printed as CSV."""
    return list(csv.DictReader(text.splitlines()))


def test_the_real_client_takes_part_from_the_list_of_files_to_the_leaderboard(
    served: Served, tmp_path: Path
) -> None:
    kaggle, got = Kaggle(tmp_path, served.port), tmp_path / "got"
    listed = rows(kaggle.run("competitions", "files", "toy", "-v"))
    assert [row["name"] for row in listed] == ["large.csv", "test.csv", "train.csv"]
    kaggle.run("competitions", "download", "toy", "-p", got, "-q")
    with zipfile.ZipFile(got / "toy.zip") as bundle:
        assert bundle.namelist() == ["large.csv", "test.csv", "train.csv"]
    kaggle.run("competitions", "download", "toy", "-f", "large.csv", "-p", got, "-q")
    with zipfile.ZipFile(got / "large.csv.zip") as packed:
        assert packed.read("large.csv") == (served.root / "files/large.csv").read_bytes()
    file = tmp_path / "submission.csv"
    file.write_text(answer(a=1))
    said = kaggle.run("competitions", "submit", "toy", "-f", file, "-m", "first 雪", KAGGLE_API_TOKEN="ann's")
    assert "Successfully submitted to Toy" in said
    assert served.scored(1)["status"] == "COMPLETE"
    (told,) = rows(kaggle.run("competitions", "submissions", "toy", "-v"))
    assert (told["ref"], told["description"], told["publicScore"]) == ("1", "first 雪", "0.66666")
    assert (told["status"], told["privateScore"]) == ("SubmissionStatus.COMPLETE", "")
    (place,) = rows(kaggle.run("competitions", "leaderboard", "toy", "-s", "-v"))
    assert (place["teamName"], place["score"]) == ("A", "0.66666")
    kaggle.run("competitions", "leaderboard", "toy", "-d", "-p", tmp_path / "board", "-q")
    with zipfile.ZipFile(tmp_path / "board/toy.zip") as board:
        (line,) = rows(board.read("toy-publicleaderboard.csv").decode())
    assert (line["Rank"], line["TeamName"], line["TeamMemberUserNames"]) == ("1", "A", "ann,bob")
    assert "participate' was denied" in refused(kaggle, "competitions", "files", "tay")


def refused(kaggle: Kaggle, *words: str) -> str:
    with pytest.raises(AssertionError) as error:
        kaggle.run(*words)
    return str(error.value)


def test_the_real_client_makes_datasets_and_kernels_and_submits_a_kernels_output(
    served: Served, tmp_path: Path
) -> None:
    kaggle, data, code = Kaggle(tmp_path, served.port), tmp_path / "data", tmp_path / "code"
    data.mkdir()
    (data / "weights.bin").write_bytes(os.urandom(70_000))
    facts = {"title": "My Weights", "id": "ann/my-weights", "licenses": [{"name": "CC0-1.0"}]}
    (data / "dataset-metadata.json").write_text(json.dumps(facts))
    kaggle.run("datasets", "create", "-p", data, "-q")
    kaggle.run("datasets", "version", "-p", data, "-m", "again", "-q")
    status = kaggle.run("datasets", "status", "ann/my-weights", "--format", "json")
    assert json.loads(status) == {"status": "ready", "current_version_number": 2}
    kaggle.run("datasets", "download", "ann/my-weights", "-p", tmp_path / "back", "--unzip", "-q")
    assert file_sha256(tmp_path / "back/weights.bin") == file_sha256(data / "weights.bin")
    code.mkdir()
    (code / "infer.py").write_text("print(1)\n")
    facts = {"id": "ann/infer", "title": "Infer", "code_file": "infer.py", "language": "python"}
    (code / "kernel-metadata.json").write_text(json.dumps(facts | {"kernel_type": "script"}))
    assert "version 1 successfully pushed" in kaggle.run("kernels", "push", "-p", code)
    output = served.root / "kernels/ann/infer/1/submission.csv"
    output.parent.mkdir(parents=True)
    output.write_text(answer())
    kaggle.run("kernels", "output", "ann/infer", "-p", tmp_path / "output", "-q")
    assert (tmp_path / "output/submission.csv").read_text() == answer()
    kaggle.run(
        "competitions", "submit", "toy", "-k", "ann/infer", "-v", "1", "-f", "submission.csv", "-m", "code"
    )
    assert served.scored(1)["publicScore"] == "1.00000"


# --- downloads, as a client that was cut off goes on ---


def blob(served: Served, name: str) -> str:
    asked = json.dumps({"competitionName": "toy", "fileName": name}).encode()
    status, headers, _ = served.ask(
        "POST", f"/api/v1/{C}/DownloadDataFile", asked, Authorization=basic("ann")
    )
    assert status == 302
    there = urlsplit(headers["location"])
    assert there.hostname == "localhost"  # another name than the API's: the key stays at home
    return f"{there.path}?{there.query}"


def test_a_download_goes_on_where_it_was_cut_unless_the_file_changed(served: Served) -> None:
    path = blob(served, "train.csv")
    content = (served.root / "files/train.csv").read_bytes()
    status, whole, body = served.ask("GET", path)
    assert (status, body) == (200, content)
    assert (whole["accept-ranges"], int(whole["content-length"])) == ("bytes", len(content))
    assert whole["last-modified"].endswith(" GMT")
    status, part, body = served.ask("GET", path, Range="bytes=3-", If_Range=whole["etag"])
    assert (status, body) == (206, content[3:])
    assert part["content-range"] == f"bytes 3-{len(content) - 1}/{len(content)}"
    assert served.ask("GET", path, Range=f"bytes={len(content)}-")[0] == 416
    (served.root / "files/train.csv").write_bytes(b"other")
    assert served.ask("GET", path, Range="bytes=3-", If_Range=whole["etag"])[::2] == (200, b"other")


def test_an_address_of_a_hidden_file_cannot_be_made_up(served: Served) -> None:
    path = blob(served, "train.csv")
    for other in ("solution.csv", "host.yaml", "files/../solution.csv", "state/secret"):
        assert served.ask("GET", path.replace("files%2Ftrain.csv", other.replace("/", "%2F")))[0] == 404
    for other in ("/solution.csv", "/blobs/solution.csv", "/../solution.csv", "/c/other/leaderboard"):
        assert served.ask("GET", other)[0] == 404


# --- uploads, kills, restarts ---


def test_an_upload_goes_on_after_a_kill_where_it_was(served: Served, start: Start) -> None:
    content = answer().encode()
    token, path = served.promise(content)
    size = len(content)
    assert served.ask("PUT", path, content[:10], Content_Range=f"bytes 0-9/{size}")[:2:1][0] == 308
    served.end(signal.SIGKILL)
    again = start(served.root)
    status, headers, _ = again.ask("PUT", path, Content_Range=f"bytes */{size}")
    assert (status, headers["range"]) == (308, "bytes=0-9")
    assert again.ask("PUT", path, content[20:], Content_Range=f"bytes 20-{size - 1}/{size}")[0] == 308
    # The real client repeats the last byte it was told of.
    assert again.ask("PUT", path, content[9:], Content_Range=f"bytes 9-{size - 1}/{size}")[0] == 200
    assert again.ask("PUT", path, Content_Range=f"bytes */{size}")[0] == 200
    asked = {"competitionName": "toy", "blobFileTokens": token}
    assert again.scored(again.call(f"{C}/CreateSubmission", **asked)["ref"])["publicScore"] == "1.00000"
    assert again.ask("PUT", "/uploads/nothing", b"x")[0] == 404
    again.end()


def test_a_file_that_is_not_here_wholly_cannot_be_submitted(served: Served) -> None:
    content = answer().encode()
    token, path = served.promise(content)
    asked = json.dumps({"competitionName": "toy", "blobFileTokens": token}).encode()
    status, _, body = served.ask("POST", f"/v1/{C}/CreateSubmission", asked, Authorization=basic("ann"))
    assert (status, json.loads(body)["code"]) == (400, 400)
    assert served.ask("PUT", path, content + b"more")[0] == 400
    assert served.ask("PUT", path, content, Content_Range=f"bytes 0-5/{len(content) + 1}")[0] == 400


SLOW = """import time


def score(solution, submission, row_id_column_name):
    time.sleep({})
    return 0.25
"""


def test_a_submission_pending_at_a_kill_is_scored_after_it(served: Served, start: Start) -> None:
    metric = served.root / "slow.py"
    metric.write_text(SLOW.format(900))
    served.end()
    write_host(served.root, metric={"score": "slow:score", "greater_is_better": True})
    host = start(served.root)
    ref = host.submit(answer().encode())
    begun = time.monotonic()
    assert host.call(f"{C}/GetSubmission", ref=ref)["status"] == "PENDING"
    assert time.monotonic() - begun < PATIENCE  # it answers while the metric is at work
    host.end(signal.SIGKILL)
    metric.write_text(SLOW.format(0))
    host = start(served.root)
    assert host.scored(ref)["publicScore"] == "0.25000"
    host.end(signal.SIGINT)


CRASH = "import os\n\n\ndef score(solution, submission, row_id_column_name):\n    os.abort()\n"


def test_a_metric_that_crashes_or_never_ends_costs_one_submission_each(served: Served, start: Start) -> None:
    served.end()
    for name, text, words in (
        ("crash", CRASH, "unexpected error"),
        ("stuck", SLOW.format(600), "took too long"),
    ):
        (served.root / f"{name}.py").write_text(text)
        metric = {"score": f"{name}:score", "greater_is_better": True}
        write_host(served.root, metric=metric, limits={"daily": 20, "scoring_seconds": 1})
        host = start(served.root)
        told = host.scored(host.submit(answer().encode()))
        assert told["status"] == "ERROR"
        assert words in told["errorDescription"]
        host.end()


LEAKY = """import pathlib


def score(solution, submission, row_id_column_name):
    raise ValueError(f"{pathlib.Path(__file__)} knows {solution['y'].tolist()}")
"""


def test_why_a_metric_failed_is_for_the_host_alone(served: Served, start: Start) -> None:
    served.end()
    (served.root / "leaky.py").write_text(LEAKY)
    write_host(served.root, metric={"score": "leaky:score", "greater_is_better": True})
    host = start(served.root)
    told = host.scored(host.submit(answer().encode()))
    assert "knows" not in json.dumps(told)
    assert "knows" not in host.ask("GET", "/")[2].decode()
    log = served.root / "state/logs/1.txt"
    wait_for(lambda: str(served.root) not in log.read_text(), "the log is told without private paths")
    assert "ValueError: ./leaky.py knows [0, 1, 1]" in log.read_text()


# --- who is let in ---


def test_keys_are_asked_for_and_tokens_are_looked_at(served: Served) -> None:
    assert served.ask("POST", f"/v1/{C}/GetCompetition", b"{}")[0] == 401
    assert served.ask("POST", f"/v1/{C}/GetCompetition", b"{", Authorization=basic("ann"))[0] == 400
    assert (
        served.ask("POST", "/v1/models.ModelApiService/CreateModel", b"{}", Authorization=basic("ann"))[0]
        == 404
    )
    for token, active in (("ann's", True), ("x", False)):
        asked = json.dumps({"token": token}).encode()
        _, _, body = served.ask("POST", "/v1/security.OAuthService/IntrospectToken", asked)
        assert json.loads(body)["active"] is active
    asked = json.dumps({"competitionName": "toy"}).encode()
    status, _, _ = served.ask(
        "POST", f"http://localhost/api/v1/{C}/GetCompetition", asked, Authorization="Bearer ann's"
    )
    assert status == 200


def test_the_page_and_the_end_are_seen_without_a_restart(served: Served) -> None:
    served.scored(served.submit(answer(d=1).encode()))
    status, headers, body = served.ask("GET", "/")
    assert (status, b"1.00000" in body, b"Private" in body) == (200, True, False)
    assert "default-src 'none'" in headers["content-security-policy"]
    words = [*KAGKIT, "host", "close", str(served.root), "--json"]
    closed = subprocess.run(words, capture_output=True, text=True, check=True)
    assert json.loads(closed.stdout)["board"] == [
        {"rank": 1, "team": "A", "private": "0.66666", "public_rank": 1}
    ]
    assert b"Private leaderboard" in served.ask("GET", "/c/toy/leaderboard")[2]
    assert served.call(f"{C}/GetSubmission", ref=1)["privateScore"] == "0.66666"


def test_a_host_with_a_token_asks_everybody_for_it(start: Start, tmp_path: Path) -> None:
    write_host(tmp_path)
    (tmp_path / "solution.csv").write_text(SOLUTION)
    host = start(tmp_path, "--token", "s3cret")
    assert host.ask("GET", "/")[0] == 407
    assert host.ask("GET", "/?token=s3cret")[0] == 200
    proxy = "Basic " + base64.b64encode(b"host:s3cret").decode()
    asked = json.dumps({"competitionName": "toy"}).encode()
    path = f"http://localhost/api/v1/{C}/GetCompetition"
    assert host.ask("POST", path, asked, Authorization=basic("ann"))[0] == 407
    assert host.ask("POST", path, asked, Authorization=basic("ann"), Proxy_Authorization=proxy)[0] == 200
