"""A damaged home: every command gives the right answer or a clear error, and nothing wrong is run.

One home with runs of several kinds is damaged in one file after another, at every n-th byte, by pages
of zeros and by cuts; each time the commands run in this process. `SYMPHONY_DAMAGE_STEP` says how many
bytes lie between two flips (1,601).
"""

import json
import os
import random
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.support.packs import pack_files

from symphony.cli.main import main
from symphony.ports.runs import short_id

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

STEP = int(os.environ.get("SYMPHONY_DAMAGE_STEP", "1601"))
PAGE = 4096
DONE = """
symphony: 1
name: Done
nodes:
  words: {operator: text.split, inputs: {text: "a,b,c", separator: ","}}
  each: {for_each: words.result, operator: debug.value, inputs: {value: "${{ item }}"}}
  said: {command: echo balance 1250}
  kept: {operator: debug.value, inputs: {value: "${{ said.stdout }}"}, artifact: {name: balance}}
outputs: {each: "${{ each.result }}", said: "${{ said.stdout }}"}
"""
GATE = """
symphony: 1
name: Gate
nodes:
  gate: {control: approval, message: "go on?"}
  grow:
    control: loop
    state: {items: []}
    body:
      one: {operator: debug.value, inputs: {value: "${{ state.items + ['an item of a list that grows'] }}"}}
    next: {items: one.result}
    until: iteration >= 40
  after: {command: echo recorded >> EFFECTS, idempotent: true, after: [gate]}
outputs: {items: "${{ size(grow.items) }}"}
"""
READING: Sequence[Sequence[str]] = (
    ("runs", "list", "--json"),
    ("runs", "stats", "--json"),
    ("runs", "prune", "--older", "0s", "--dry-run", "--json"),
    ("run", "done.yaml", "--dry-run", "--json"),
    ("artifacts", "list", "--json"),
    ("artifacts", "show", "balance", "--json"),
    ("cache", "size", "--json"),
    ("runs", "show", "DONE", "--json"),
    ("runs", "show", "GATE", "--json"),
    ("runs", "events", "DONE", "--json"),
    ("runs", "logs", "GATE"),
)


class Place:
    """A folder with two workflows and a home with a run of each."""

    def __init__(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.folder, self.home, self.sound = folder, folder / "home", folder / "sound"
        self._capsys = capsys
        (folder / "done.yaml").write_text(DONE)
        (folder / "gate.yaml").write_text(GATE.replace("EFFECTS", str(folder / "effects.txt")))
        monkeypatch.chdir(folder)
        monkeypatch.setenv("SYMPHONY_HOME", str(self.home))
        self.ids = {}
        for name, status in (("done", 0), ("gate", 4)):
            got, out, _ = self.symphony("run", f"{name}.yaml", "--json")
            assert got == status
            self.ids[name.upper()] = json.loads(out)["run_id"]
        assert self.symphony("runs", "approve", self.ids["GATE"], "gate")[0] == 0
        for beside in (*self.home.rglob("*-wal"), *self.home.rglob("*-shm")):
            beside.unlink(missing_ok=True)
        shutil.copytree(self.home, self.sound)

    def symphony(self, *words: str) -> tuple[int, str, str]:
        status = main([self.ids.get(word, word) for word in words] if hasattr(self, "ids") else list(words))
        out, err = self._capsys.readouterr()
        assert status != 70, (words, err)
        assert "Traceback" not in err
        return status, out, err

    def restore(self) -> None:
        while self.home.exists():  # connections that are just being closed take their files away themselves
            shutil.rmtree(self.home, ignore_errors=True)
        shutil.copytree(self.sound, self.home)

    def answers(self) -> dict[Sequence[str], Any]:
        return {words: self.symphony(*words) for words in READING}


def harmed(body: bytes, step: int) -> Iterator[tuple[str, bytes]]:
    rng = random.Random(7)
    for at in range(rng.randrange(step), len(body), step):
        yield f"bit at {at}", body[:at] + bytes([body[at] ^ 1 << rng.randrange(8)]) + body[at + 1 :]
    for at in range(0, len(body), PAGE):
        yield f"zeros at {at}", body[:at] + bytes(PAGE) + body[at + PAGE :]
        yield f"cut at {at}", body[:at]
        yield f"cut at {at + 1000}", body[: at + 1000]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Place:
    return Place(tmp_path, monkeypatch, capsys)


def without(run_id: str, listed: str) -> list[dict[str, Any]]:
    return [run for run in json.loads(listed) if run["run_id"] != run_id]


@pytest.mark.parametrize("which", ["DONE", "GATE"])
def test_a_damaged_journal_is_marked_and_all_else_goes_on(place: Place, which: str) -> None:
    right = place.answers()
    run_id = place.ids[which]
    path = place.home / "journal" / f"{run_id}.db"
    marked = 0
    for how, body in harmed(path.read_bytes(), STEP):
        place.restore()
        path.write_bytes(body)
        list_status, listed, _ = place.symphony("runs", "list", "--json")
        assert list_status == 0, how
        assert without(run_id, listed) == without(run_id, right[READING[0]][1]), how
        mine = [run for run in json.loads(listed) if run["run_id"] == run_id]
        if listed == right[READING[0]][1]:
            assert (
                place.symphony("runs", "show", run_id, "--json")[1]
                == right[("runs", "show", which, "--json")][1]
            )
            continue
        marked += 1
        assert [run["status"] for run in mine] in (["damaged"], []), how
        status, out, _ = place.symphony("runs", "show", run_id, "--json")
        assert status == 1, how
        assert json.loads(out)["errors"][0]["code"] in ("journal-failed", "journal-newer")
        for words in (("runs", "stats", "--json"), ("run", "done.yaml", "--dry-run", "--json")):
            assert place.symphony(*words)[0] == 0, how
        assert place.symphony("fsck")[0] == 1, how
        assert place.symphony("runs", "prune", "--older", "0s")[0] == 0
        assert path.read_bytes() == body, how
        assert place.symphony("artifacts", "get", "balance")[:2] == (0, "balance 1250\n")
    assert marked


def test_a_resume_of_a_damaged_run_runs_nothing_but_what_was_recorded(place: Place) -> None:
    run_id, effects = place.ids["GATE"], place.folder / "effects.txt"
    path = place.home / "journal" / f"{run_id}.db"
    refused = 0
    for how, body in harmed(path.read_bytes(), STEP):
        place.restore()
        effects.unlink(missing_ok=True)
        path.write_bytes(body)
        status, out, _ = place.symphony("runs", "resume", run_id, "--json")
        if status == 0:
            assert json.loads(out)["outputs"] == {"items": 41}, how
            assert effects.read_text() == "recorded\n"
        else:
            refused += 1
            assert status == 1, how
            assert not effects.exists(), how
            assert path.read_bytes() == body, how
        assert {file.name for file in place.folder.iterdir()} <= {
            "done.yaml", "gate.yaml", "home", "sound", "effects.txt"
        }  # fmt: skip
    assert refused


@pytest.mark.parametrize("name", ["cache.db", "index.db", "records.log"])
def test_damage_among_the_artifacts_changes_no_answer(place: Place, name: str) -> None:
    right = place.answers()
    path = place.home / "artifacts" / name
    body = path.read_bytes()
    changes = harmed(body, STEP if name.endswith(".db") else 97)
    for how, bad in changes:
        place.restore()
        path.write_bytes(bad)
        found = {
            words: place.symphony(*words) for words in READING if words[0] in ("artifacts", "cache", "run")
        }
        for words, (status, out, err) in found.items():
            if (status, out) == right[words][:2]:
                continue
            # what is known of artifacts may be lost, and cached results forgotten: but it is said
            assert err or name == "cache.db" or how.startswith("cut"), (how, words)
            assert (name, words[0]) in (
                ("cache.db", "cache"), ("cache.db", "run"), ("records.log", "artifacts")
            ), (how, words, out, err)  # fmt: skip
        status, out, _ = place.symphony("run", "done.yaml", "--json")
        assert status == 0, how
        assert json.loads(out)["outputs"] == {"each": ["a", "b", "c"], "said": "balance 1250\n"}, how


def test_fsck_waits_for_no_pipe_in_a_journals_place(place: Place) -> None:
    os.mkfifo(place.home / "journal" / "01a22c7c-18e5-76f0-bcaf-5cbe5a0e0a05.db")
    status, out, _ = place.symphony("fsck")
    assert (status, "is not a regular file" in out) == (1, True)


def test_fsck_finds_each_kind_of_damage_and_changes_nothing(place: Place) -> None:
    def state() -> dict[str, bytes]:
        return {str(p.relative_to(place.home)): p.read_bytes() for p in place.home.rglob("*") if p.is_file()}

    before = state()
    status, out, _ = place.symphony("fsck", "--json")
    assert status == 0
    assert json.loads(out) == {
        "looked_at": {"journal": 2, "cache": 1, "index": 2, "log": 1, "artifact": 1},
        "damaged": [],
    }
    assert state() == before
    (body,) = pack_files(place.home / "artifacts")
    files = {
        "journal": place.home / "journal" / f"{place.ids['DONE']}.db",
        "cache": place.home / "artifacts" / "cache.db",
        "index": place.home / "artifacts" / "index.db",
        "log": place.home / "artifacts" / "records.log",
        "artifact": body,
    }
    for kind, path in files.items():
        place.restore()
        path.chmod(0o600)
        good = path.read_bytes()
        at = {"cache": good.rfind(b"text.split"), "index": good.rfind(b"balance"), "log": 30}.get(kind, -1)
        if kind == "journal":
            at = good.rindex(b"echo balance")
        path.write_bytes(good[:at] + bytes([good[at] ^ 1]) + (good[at + 1 :] if at != -1 else b""))
        before = state()
        status, out, _ = place.symphony("fsck", "--json")
        assert status == 1, kind
        assert [one["kind"] for one in json.loads(out)["damaged"]] == [kind]
        assert all(one["fix"] and one["problem"] for one in json.loads(out)["damaged"])
        assert state() == before
        assert "damaged" in place.symphony("fsck")[1] or kind == "artifact"
        if kind != "artifact":
            assert place.symphony("doctor", "--json")[0] == 1
    place.restore()
    body.unlink()
    assert "is not there" in place.symphony("fsck")[1]


def test_a_damaged_run_is_deleted_only_when_that_is_said(place: Place) -> None:
    run_id = place.ids["DONE"]
    path = place.home / "journal" / f"{run_id}.db"
    path.write_bytes(path.read_bytes().replace(b"echo balance", b"echo bolance"))
    status, _, err = place.symphony("runs", "delete", run_id)
    assert status == 1
    assert f"runs delete --damaged {short_id(run_id)}" in " ".join(err.split())
    assert place.symphony("runs", "delete", "--damaged", run_id)[0] == 0
    assert place.symphony("fsck")[0] == 0
