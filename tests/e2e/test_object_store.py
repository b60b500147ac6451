"""Artifacts in a bucket, as people use it: settings, commands, killed processes, a service that dies."""

import json
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.buckets import BUCKET, S3Service, serving
from tests.support.commands import CommandLine, outcome

pytestmark = pytest.mark.slow

FLOW = """
name: Large
nodes:
  make: {command: 'for i in $(seq 9000); do echo "quokka $i"; done'}
outputs: {text: "${{ make.stdout }}"}
"""


@pytest.fixture
def service() -> Iterator[S3Service]:
    with serving() as made:
        yield made


@pytest.fixture
def typed(tmp_path: Path, service: S3Service) -> CommandLine:
    """Commands whose settings name the bucket, and keep nothing of it here."""
    (tmp_path / "home").mkdir(mode=0o700)
    made = CommandLine(tmp_path, AWS_ACCESS_KEY_ID="key", AWS_SECRET_ACCESS_KEY="secret")
    made.write(
        "home/config.toml",
        f"""
        [artifacts]
        store = "s3://{BUCKET}/laptop"
        cache = "0B"
        [object_storage]
        endpoint = "{service.endpoint}"
        timeout = 10
        patience = 1
        """,
    )
    return made


def packs_here(typed: CommandLine) -> list[str]:
    return [path.name for path in (typed.home / "artifacts" / "packs").glob("*.pack")]


def test_what_a_run_made_is_sent_and_read_from_the_bucket_as_before(
    typed: CommandLine, service: S3Service
) -> None:
    typed.write("flow.yaml", FLOW)
    text = typed.json("run", "flow.yaml", "--json")["outputs"]["text"]
    typed.write("notes.txt", "a numbat sleeps\n" * 40)
    typed.type("artifacts", "put", "notes.txt", "--name", "notes")
    sent = typed.json("artifacts", "send", "--json")
    assert sent["packs"] == 1
    assert sent["store"] == f"s3://{BUCKET}/laptop"
    assert packs_here(typed) == []
    assert [one.name.partition("/")[0] for one in service.storage("laptop").list()] == ["packs"]
    assert typed.type("artifacts", "send")[0] == f"nothing is left to send to s3://{BUCKET}/laptop\n"

    assert typed.type("artifacts", "get", "notes")[0] == "a numbat sleeps\n" * 40
    (large,) = typed.json("artifacts", "list", "--json", "--type", "text/plain", "--limit", "9")[:1]
    assert large["digest"]
    rerun = typed.json("run", "flow.yaml", "--json")
    assert rerun["outputs"]["text"] == text
    assert "quokka 8999" in typed.type("runs", "logs", "large-1")[0]
    assert typed.json("artifacts", "search", "numbat", "--wait", "--json")["total"] == 1
    typed.type("artifacts", "export", "--query", "numbat", "--output", "set.jsonl")
    assert "numbat" in (typed.folder / "set.jsonl").read_text()
    assert "no faults" in typed.type("artifacts", "fsck")[0]
    assert "nothing is damaged" in typed.type("fsck")[0]
    status = typed.json("pit", "status", "--json")
    assert (status["artifacts"]["outside"], status["artifacts"]["unsent"]) == (1, 0)
    (check,) = (one for one in typed.json("doctor", "--json") if one["check"] == "store")
    assert check["verdict"] == "ok", check


def test_nothing_waits_for_a_service_that_is_dead_and_errors_name_the_fix(
    typed: CommandLine, service: S3Service
) -> None:
    typed.write("notes.txt", "a numbat sleeps")
    service.die()
    typed.type("artifacts", "put", "notes.txt", "--name", "notes")
    assert typed.type("artifacts", "get", "notes")[0] == "a numbat sleeps"
    refused = typed.call("artifacts", "send")
    assert refused.status == 1
    assert "storage-unreachable" in refused.err
    assert "object_storage.endpoint" in refused.err
    assert "Traceback" not in refused.err
    (check,) = (one for one in json.loads(typed.call("doctor", "--json").out) if one["check"] == "store")
    assert check["verdict"] == "failed"
    service.start()
    assert typed.json("artifacts", "send", "--json")["packs"] == 1
    service.die()
    lost = typed.call("artifacts", "get", "notes")
    assert (lost.status, lost.out) == (1, "")
    assert "storage-unreachable" in lost.err
    assert "damaged" not in typed.call("artifacts", "fsck").out
    service.start()
    assert typed.type("artifacts", "get", "notes")[0] == "a numbat sleeps"


@pytest.mark.parametrize(
    ("store", "named"),
    [
        ("s3://no", "artifacts.store"),
        ("s4://bucket/home", "s3://bucket/home"),
        ("relative/folder", "artifacts.store"),
        ("/not/there/at/all", "/not/there/at/all"),
        ("s3://absent-bucket/home", "absent-bucket"),
    ],
)
def test_a_wrong_place_is_refused_by_name(typed: CommandLine, store: str, named: str) -> None:
    typed.write("notes.txt", "a numbat sleeps")
    told = {"SYMPHONY__ARTIFACTS__STORE": store}
    refused = typed.call("artifacts", "send", **told)
    if refused.status == 0:  # nothing to send
        typed.type("artifacts", "put", "notes.txt", "--name", "notes", **told)
        refused = typed.call("artifacts", "send", **told)
    assert refused.status in {1, 2}
    assert named in refused.err
    assert "Traceback" not in refused.err


def test_a_sender_that_is_killed_loses_nothing(typed: CommandLine, service: S3Service) -> None:
    typed.folder.joinpath("large.bin").write_bytes(os.urandom(20 << 20))
    typed.type("artifacts", "put", "large.bin", "--name", "large")
    for number in (1, 2):
        parts = 0

        def slow_at(environ: dict[str, object], number: int = number) -> str | None:
            nonlocal parts
            parts += environ["REQUEST_METHOD"] == "PUT"
            return "slow" if parts > number and environ["REQUEST_METHOD"] == "PUT" else None

        service.hurry.clear()
        service.fault = slow_at
        before = len(service.requests)
        sending = typed.start("artifacts", "send")
        while sum(one.startswith("PUT") for one in service.requests[before:]) <= number:
            assert sending.poll() is None, sending.communicate()
        os.killpg(sending.pid, signal.SIGKILL)
        sending.communicate()
        service.hurry.set()
        service.fault = lambda environ: None
        typed.type("artifacts", "get", "large", "--output", "got.bin")
        assert (typed.folder / "got.bin").read_bytes() == (typed.folder / "large.bin").read_bytes()
    assert typed.json("artifacts", "send", "--json")["packs"] == 1
    assert "no faults" in typed.type("artifacts", "fsck")[0]
    typed.type("artifacts", "get", "large", "--output", "got.bin")
    assert (typed.folder / "got.bin").read_bytes() == (typed.folder / "large.bin").read_bytes()


def test_two_processes_send_each_pack_once(typed: CommandLine, service: S3Service) -> None:
    for number in range(3):
        typed.write("notes.txt", f"notes {number}")
        typed.type("artifacts", "put", "notes.txt", "--name", f"notes {number}")
    both = [typed.start("artifacts", "send", "--json", text=False) for _ in range(2)]
    ended = [outcome(one) for one in both]
    assert [one.status for one in ended] == [0, 0], ended
    assert sum(json.loads(one.out)["packs"] for one in ended) == len(list(service.storage("laptop").list()))
    for number in range(3):
        assert typed.type("artifacts", "get", f"notes {number}")[0] == f"notes {number}"


@pytest.mark.parametrize("setting", ["artifacts.store", "tiers.cold"])
def test_a_disk_that_is_not_mounted_is_not_taken_for_a_loss(typed: CommandLine, setting: str) -> None:
    place, disk = typed.folder / "mnt", typed.folder / "disk"
    place.mkdir()
    section, _, key = setting.partition(".")
    settings = f'[{section}]\n{key} = "{place}"\n'
    typed.write("home/config.toml", settings + ('cache = "0B"\n' if section == "artifacts" else ""))
    typed.write("notes.txt", "a numbat sleeps")
    typed.type("artifacts", "put", "notes.txt", "--name", "notes")
    leaves = ("send",) if section == "artifacts" else ("tier", "--to", "cold", "notes")
    typed.type("artifacts", *leaves)
    place.rename(disk)
    place.mkdir()  # where the disk belongs
    for words in (("get", "notes"), ("fsck", "--repair"), ("fetch",)):
        refused = typed.call("artifacts", *words)
        assert refused.status == 1, (words, refused)
        assert "nothing of what was sent there" in refused.out + refused.err, (words, refused)
    name = "store" if section == "artifacts" else "tiers"
    (check,) = (one for one in json.loads(typed.call("doctor", "--json").out) if one["check"] == name)
    assert check["verdict"] != "ok"
    assert "nothing of what was sent there" in check["found"]
    typed.write("more.txt", "another")
    typed.type("artifacts", "put", "more.txt", "--name", "more")
    leaves = ("send",) if section == "artifacts" else ("tier", "--to", "cold", "more")
    assert typed.call("artifacts", *leaves).status == 1
    assert list(place.rglob("*.pack")) == []
    shutil.rmtree(place)
    disk.rename(place)
    assert typed.type("artifacts", "get", "notes")[0] == "a numbat sleeps"
    assert "no faults" in typed.type("artifacts", "fsck")[0]
    shutil.rmtree(place)
    (place / "packs").mkdir(parents=True)
    (place / "packs" / "emptied").touch()  # it is lost, and somebody says so
    lost = section == "artifacts"  # what was cold became hot when it was got
    assert ("quarantine" in typed.type("artifacts", "fsck", "--repair", status=int(lost))[0]) is lost


def test_a_directory_is_as_good_as_a_bucket_and_can_be_left_again(typed: CommandLine) -> None:
    place = typed.folder / "archive"
    place.mkdir()
    told = {"SYMPHONY__ARTIFACTS__STORE": str(place)}
    typed.write("notes.txt", "a numbat sleeps")
    typed.type("artifacts", "put", "notes.txt", "--name", "notes", **told)
    assert typed.json("artifacts", "send", "--json", **told)["packs"] == 1
    typed.write("home/config.toml", '[artifacts]\ncache = "0B"\n')
    assert typed.type("artifacts", "get", "notes")[0] == "a numbat sleeps"
    (check,) = (one for one in typed.json("doctor", "--json") if one["check"] == "store")
    assert check["verdict"] == "warning"
    assert packs_here(typed) == []
    bare = typed.call("artifacts", "send")
    assert (bare.status, "artifacts.store is not set" in bare.err) == (2, True)
    shutil.move(place, typed.folder / "elsewhere")
    for words in (("artifacts", "get", "notes"), ("artifacts", "fetch")):
        gone = typed.call(*words)
        assert (gone.status, gone.out) == (1, "")
        assert str(place) in gone.err
    shutil.move(typed.folder / "elsewhere", place)
    assert typed.json("artifacts", "fetch")["packs"] == 1
    assert [path for path in place.rglob("*") if path.is_file()] == []
    shutil.rmtree(place)
    assert typed.type("artifacts", "get", "notes")[0] == "a numbat sleeps"


def test_the_cold_tier_lies_in_a_bucket_and_the_rest_does_without_it(
    typed: CommandLine, service: S3Service
) -> None:
    settings = typed.home / "config.toml"
    tiers = f'[tiers]\nrest = "0s"\ncold = "s3://{BUCKET}/cold"\n[[tiers.rules]]\ncold = {{ name = "old" }}\n'
    plain = settings.read_text().replace(f'store = "s3://{BUCKET}/laptop"', "")
    settings.write_text(f"{plain}\n{tiers}")
    for name in ("old", "new"):
        typed.write(name, f"a wombat is {name}\n" * 9_000)
        typed.type("artifacts", "put", name)
    assert typed.json("artifacts", "tier")["moved"]["artifacts"] == 1
    assert len(list(service.storage("cold").list())) == 1
    service.die()
    _, err = typed.type("artifacts", "get", "old", status=1)
    assert "does not answer" in err or "cannot" in err
    assert typed.type("artifacts", "get", "new")[0] == "a wombat is new\n" * 9_000
    (check,) = (one for one in typed.json("doctor", "--json") if one["check"] == "tiers")
    assert check["verdict"] == "warning"
    service.start()
    assert typed.type("artifacts", "get", "old")[0] == "a wombat is old\n" * 9_000
    assert {one["tier"] for one in typed.json("artifacts", "list")} == {"hot"}
    assert "no faults" in typed.type("artifacts", "fsck")[0]
