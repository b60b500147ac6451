"""Artifact stores that earlier versions wrote are listed, read and gone on from: see tests/data/stores."""

import hashlib
import json
import sqlite3
import tarfile
from pathlib import Path

import pytest
from tests.support.commands import CommandLine, statuses

pytestmark = pytest.mark.slow

STORES = Path(__file__).parents[1] / "data" / "stores"
TOKEN = "topsecret-Value/42"  # of the run


class OldStore(CommandLine):
    """A home of an earlier version, unpacked, and what that version handed out."""

    def __init__(self, name: str, folder: Path) -> None:
        super().__init__(folder, TOKEN=TOKEN)
        with tarfile.open(STORES / f"{name}.tar.gz") as packed:
            packed.extractall(folder, filter="data")
        told = json.loads((STORES / f"{name}.json").read_text(encoding="utf-8"))
        self.run, self.opened, self.sizes = told["run"], told["opened"], told["sizes"]


@pytest.fixture(params=sorted(path.stem for path in STORES.glob("*.json")))
def old(request: pytest.FixtureRequest, tmp_path: Path) -> OldStore:
    return OldStore(request.param, tmp_path)


def test_every_body_is_listed_and_read_as_it_was_put(old: OldStore) -> None:
    listed = old.json("artifacts", "list", "--limit", "1000")
    assert {one["digest"]: one["size"] for one in listed} == old.sizes
    for digest in old.sizes:
        got = old.folder / "got"
        done = old.call("artifacts", "get", digest, "--output", str(got))
        assert done.status == 0, done.err
        assert hashlib.sha256(got.read_bytes()).hexdigest() == digest
    assert old.call("fsck").status == 0


def test_every_name_is_opened_as_it_was_or_under_the_name_and_type_that_were_meant(old: OldStore) -> None:
    for name, was in old.opened.items():
        done = old.call("artifacts", "open", name)
        assert done.status == 0, done.err
        path = Path(done.out.splitlines()[0])
        if path.name == was["file"]:
            assert path.read_text(encoding="utf-8", errors="surrogateescape") == was["text"], name
        else:  # two names share a body: it used to be opened under the newest of them
            assert path.stem == name
            kind = {"json": ".json", "markdown": ".md", "png": ".png"}.get(name.partition("-")[2], ".json")
            assert path.suffix == kind


def test_a_run_reads_what_it_had_stored_and_goes_on(old: OldStore) -> None:
    assert old.call("runs", "approve", old.run, "asked").status == 0
    resumed = old.json("runs", "resume", old.run)
    assert resumed["status"] == "succeeded", resumed
    read = old.folder / "read"
    done = old.call("runs", "show", old.run, "--output", "read")
    assert done.status == 0, done.err
    read = json.loads(done.out)
    for called in ("json", "markdown", "plain", "msgpack", "png"):
        assert read[f"map-{called}"]["as"] == called
        assert read[f"list-{called}"] == [called, 1, 2.5, None, True]
        assert read[f"text-{called}"] == f"# {called}\n\nWords: é\n"
        assert (read[f"number-{called}"], read[f"none-{called}"]) == (41, None)
    assert (read["numbers"], read["secret"], read["pieces"]) == (12_000, True, [{"at": 1}, {"at": 2}])


def test_a_rerun_stores_what_the_types_say(old: OldStore) -> None:
    assert old.call("runs", "approve", old.run, "asked").status == 0
    assert old.json("runs", "resume", old.run)["status"] == "succeeded"
    again = old.json("runs", "rerun", old.run, "--from", "map-json")
    assert again["status"] == "succeeded", again
    assert statuses(again)["map-png"] == "cached"
    got = old.call("artifacts", "get", "map-json")
    assert json.loads(got.out)["as"] == "json"
    shown = old.json("artifacts", "show", "map-json")
    assert shown["content_type"] == "application/json"
    assert hashlib.sha256(got.out.encode()).hexdigest() == shown["digest"]


def test_names_are_kept_where_only_the_index_of_the_version_before_is_left(tmp_path: Path) -> None:
    old = OldStore("untyped", tmp_path)
    index = old.home / "artifacts" / "index.db"
    with sqlite3.connect(index) as db:
        names = {name for (name,) in db.execute("SELECT name FROM names")}
    (old.home / "artifacts" / "records.log").unlink()
    for name in sorted(names)[:5]:
        assert old.json("artifacts", "show", name)["names"][0] in names
    listed = old.json("artifacts", "list", "--limit", "1000")
    assert {name for one in listed for name in one["names"]} == names
