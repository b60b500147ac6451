"""Encryption as people use it: a setting, a passphrase, runs, the search, and what lies on the disk."""

import json
import random
from pathlib import Path

import pytest
from tests.support.commands import CommandLine

from symphony.pit.artifacts import FileArtifacts
from symphony.pit.artifacts.encryption.keys import StoreKeys
from symphony.pit.artifacts.encryption.sources import KeySource

pytestmark = pytest.mark.slow

ON = {"SYMPHONY__ENCRYPTION__ENABLED": "true", "SYMPHONY_PASSPHRASE": "correct horse battery"}
FLOW = """
name: Large
nodes:
  make: {command: 'for i in $(seq 9000); do echo "quokka $i"; done; env | grep -c PASSPHRASE >&2 || true'}
outputs: {text: "${{ make.stdout }}"}
"""


def bytes_below(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def typed(tmp_path: Path) -> CommandLine:
    return CommandLine(tmp_path)


def test_what_a_run_makes_is_encrypted_and_can_be_got_opened_and_reused(typed: CommandLine) -> None:
    typed.write("flow.yaml", FLOW)
    ran = typed.call("run", "flow.yaml", "--json", **ON)
    assert ran.status == 0, ran.err
    again = typed.call("run", "flow.yaml", "--json", **ON)
    assert json.loads(again.out)["outputs"] == json.loads(ran.out)["outputs"]
    (record, *_) = json.loads(typed.call("artifacts", "list", "--json").out)
    assert b"quokka 8999" not in bytes_below(typed.home / "artifacts" / "packs")
    got = typed.call("artifacts", "get", record["digest"], **ON)
    assert "quokka 8999" in got.out
    for variables, code in (
        ({}, "encryption-key-missing"),
        ({"SYMPHONY_PASSPHRASE": "wrong"}, "encryption-key-wrong"),
    ):
        refused = typed.call("artifacts", "get", record["digest"], **variables)
        assert (refused.status, refused.out) == (1, "")
        assert code in refused.err
        checked = typed.call("artifacts", "fsck", **variables)
        assert checked.status == 1
        assert code in checked.err
    logs = typed.call("runs", "logs", "large-1", **ON)
    assert "quokka 1\n" in logs.out + logs.err
    assert "correct horse" not in logs.out + logs.err + ran.out + ran.err
    assert b"correct horse" not in bytes_below(typed.home)
    assert typed.call("artifacts", "fsck", **ON).status == 0


def test_conversion_leaves_no_plain_word_in_packs_or_index(typed: CommandLine) -> None:
    typed.write("notes.txt", "a numbat sleeps\n" * 40)
    assert typed.call("artifacts", "put", "notes.txt", "--name", "notes").status == 0
    assert typed.call("artifacts", "search", "numbat", "--wait").out
    assert b"numbat" in bytes_below(typed.home / "artifacts")
    before = json.loads(typed.call("artifacts", "key", "status", "--json", **ON).out)
    assert (before["key"]["opens"], before["encrypted_bytes"]) == (None, 0)
    assert before["plain_bytes"] > 0
    done = typed.call("artifacts", "key", "convert", "--json", **ON)
    assert (done.status, json.loads(done.out)) == (0, {"packs": 1, "left": 0}), done.err
    assert b"numbat" not in bytes_below(typed.home / "artifacts")
    after = json.loads(typed.call("artifacts", "key", "status", "--json", **ON).out)
    assert (after["key"]["state"], after["plain_bytes"]) == ("opened", 0)
    assert json.loads(typed.call("artifacts", "search", "notes", "--wait", "--json", **ON).out)["total"] == 1
    assert json.loads(typed.call("artifacts", "search", "numbat", "--wait", "--json", **ON).out)["total"] == 0
    assert "no words of contents" in typed.type("artifacts", "search", "numbat", **ON)[1]
    off = {"SYMPHONY_PASSPHRASE": ON["SYMPHONY_PASSPHRASE"]}
    assert typed.call("artifacts", "key", "convert", **off).status == 0
    assert typed.call("artifacts", "get", "notes").out == "a numbat sleeps\n" * 40


def test_without_the_passphrase_all_is_listed_and_what_is_plain_is_read(typed: CommandLine) -> None:
    typed.type("artifacts", "put", str(typed.write("plain.txt", "a numbat")))
    enabled = {"SYMPHONY__ENCRYPTION__ENABLED": "true"}
    typed.type("artifacts", "put", str(typed.write("secret.txt", "a quokka")), **ON)
    assert typed.type("artifacts", "get", "plain.txt", **enabled)[0] == "a numbat"
    assert {one["names"][0] for one in typed.json("artifacts", "list", **enabled)} == {
        "plain.txt", "secret.txt",
    }  # fmt: skip
    assert typed.json("artifacts", "search", "secret", "--wait", **enabled)["total"] == 1
    assert typed.json("artifacts", "show", "secret.txt", **enabled)["quality"]["parts"]
    assert typed.type("artifacts", "gc", **enabled)[0] == "2 artifacts stayed\n"
    for words in (("get", "secret.txt"), ("put", "plain.txt", "--name", "other")):
        _, said = typed.type("artifacts", *words, status=1, **enabled)
        assert "encryption-key-missing" in said
    assert [one["names"] for one in typed.json("artifacts", "list")] == [["secret.txt"], ["plain.txt"]]


def test_rotation_needs_the_old_secret_and_takes_it_away(typed: CommandLine) -> None:
    typed.write("notes.txt", "numbat")
    assert typed.call("artifacts", "put", "notes.txt", "--name", "notes", **ON).status == 0
    new = {"NEW": "another passphrase"}
    bare = typed.call("artifacts", "key", "rotate", **ON)
    assert (bare.status, "--passphrase" in bare.err) == (2, True)
    wrong = typed.call(
        "artifacts", "key", "rotate", "--passphrase", "NEW", **new, SYMPHONY_PASSPHRASE="wrong"
    )
    assert (wrong.status, "encryption-key-wrong" in wrong.err) == (1, True)
    done = typed.call("artifacts", "key", "rotate", "--passphrase", "NEW", **new, **ON)
    assert (done.status, done.out) == (0, "another secret opens the key from now on\n")
    assert typed.call("artifacts", "get", "notes", **ON).status == 1
    assert typed.call("artifacts", "get", "notes", **ON | {"SYMPHONY_PASSPHRASE": new["NEW"]}).out == "numbat"
    assert typed.call("artifacts", "key", "status", **ON).status == 1


def test_doctor_tells_whether_the_settings_open_the_key(typed: CommandLine) -> None:
    def checked(**variables: str | None) -> tuple[str, str]:
        found = json.loads(typed.call("doctor", "--json", **variables).out)
        (one,) = (one for one in found if one["check"] == "encryption")
        return one["verdict"], one["found"]

    assert checked() == ("ok", "off")
    assert checked(**ON) == ("ok", "on; the first artifact makes the key")
    typed.write("notes.txt", "numbat")
    typed.type("artifacts", "put", "notes.txt", "--name", "notes", **ON)
    assert checked(**ON) == ("ok", "on; the key can be opened")
    verdict, found = checked(**ON | {"SYMPHONY_PASSPHRASE": "wrong"})
    assert verdict == "failed"
    assert "does not open the key" in found


@pytest.mark.parametrize("moment", ["artifacts/key.json", "artifacts/packs/*.pack"])
def test_a_conversion_that_is_killed_loses_nothing_and_goes_on(typed: CommandLine, moment: str) -> None:
    store = FileArtifacts(typed.home / "artifacts")
    bodies = [random.Random(seed).randbytes(400_000) for seed in range(40)]
    refs = [store.put(body, content_type="text/plain", name="n") for body in bodies]
    store.close()
    before, key = len(list(typed.home.glob(moment))), typed.folder / "key"
    key.write_bytes(bytes(range(200, 240)))
    on = {"SYMPHONY__ENCRYPTION__ENABLED": "true", "SYMPHONY__ENCRYPTION__KEY_FILE": str(key)}
    running = typed.start("artifacts", "key", "convert", **on)
    while running.poll() is None and len(list(typed.home.glob(moment))) == before:
        pass  # it may be quicker than we look
    running.kill()
    running.communicate()
    keys = StoreKeys(typed.home / "artifacts", KeySource(file=key))
    left = FileArtifacts(typed.home / "artifacts", keys=keys)
    assert [left.get(ref.digest) for ref in refs] == bodies
    left.close()
    assert typed.json("artifacts", "key", "convert", **on)["left"] == 0
    assert typed.json("artifacts", "key", "status", **on)["plain_bytes"] == 0
    after = FileArtifacts(typed.home / "artifacts", keys=keys)
    assert [after.get(ref.digest) for ref in refs] == bodies
    after.close()
