"""git.* and what of fs.glob asks git, over real repositories."""

import asyncio
import inspect
import subprocess
from pathlib import Path
from typing import Any

import pytest

from symphony.kit import operators
from symphony.kit.errors import GitFailed, InputRefused, NotARepository
from symphony.sdk import Context

pytestmark = pytest.mark.slow

IDENTITY = {
    "GIT_AUTHOR_NAME": "Ada", "GIT_AUTHOR_EMAIL": "ada@example.org", "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.org", "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1",
}  # fmt: skip


class Folder:
    """A repository to be, with its operators."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.count = 0

    def git(self, *arguments: str) -> str:
        done = subprocess.run(("git", *arguments), cwd=self.path, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def commit(self, message: str, **files: str) -> str:
        for name, text in files.items():
            (self.path / name).write_text(text)
        self.count += 1
        date = f"2024-01-{self.count:02}T12:00:00Z"
        self.git("add", "-A")
        self.git("-c", f"user.name=Ada{self.count % 2}", "commit", "-qm", message, f"--date={date}")
        return self.git("rev-parse", "HEAD")

    @property
    def context(self) -> Context:
        return Context(
            run_id="r", node="n", attempt=1, cwd=self.path, base=self.path, log=lambda *_: None,
            cancelled=lambda: False,
        )  # fmt: skip

    def run(self, operator_name: str, /, **inputs: Any) -> dict[str, Any]:
        one = operators()[operator_name]
        returned = one.function(context=self.context, **inputs)
        return one.ports(asyncio.run(returned) if inspect.iscoroutine(returned) else returned)

    def reads(self, operator_name: str, /, **inputs: Any) -> str | None:
        reads = operators()[operator_name].reads
        assert reads is not None
        return reads(inputs, self.context)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    for name, value in IDENTITY.items():
        monkeypatch.setenv(name, value)
    return Folder(tmp_path)


@pytest.fixture
def repository(folder: Folder) -> Folder:
    folder.git("init", "-q", "-b", "main")
    return folder


LINES = "".join(f"line {n}\n" for n in range(20))


def test_churn_follows_renames_and_forgets_what_is_gone(repository: Folder) -> None:
    repository.commit("one", **{"old name é.py": LINES, "gone.py": "x\n"})
    repository.git("mv", "old name é.py", "new.py")
    repository.commit("two", **{"new.py": LINES + "more\n"})
    (repository.path / "gone.py").unlink()
    repository.commit("three", **{"new.py": LINES, "other.py": "y\n", "old name é.py": "another\n"})
    found = repository.run("git.churn")
    assert [(one["name"], one["commits"], one["added"], one["deleted"]) for one in found["files"]] == [
        ("new.py", 3, 21, 1), ("old name é.py", 1, 1, 0), ("other.py", 1, 1, 0),
    ]  # fmt: skip
    assert (found["commits"], found["found"]) == (3, True)
    assert len(repository.run("git.churn", gone=True)["files"]) == 4
    assert [one["name"] for one in repository.run("git.churn", patterns=["n*"])["files"]] == ["new.py"]
    assert repository.run("git.churn", max_commits=1)["files"][0]["commits"] == 1
    assert [repository.run("git.churn", max_commits=most)["complete"] for most in (1, 100)] == [False, True]
    newest = repository.run("git.log", limit=1)["commits"][0]
    assert (found["commit"], found["at"]) == (newest["id"], newest["at"])
    assert repository.run("git.churn", limit=0)["files"] == []


def test_a_subfolder_is_looked_at_by_itself(repository: Folder) -> None:
    (repository.path / "sub").mkdir()
    repository.commit("one", **{"sub/a.py": "1\n", "b.py": "2\n"})
    (repository.path / "sub" / "a.py").write_text("changed\n")
    (repository.path / "b.py").write_text("changed\n")
    assert [one["name"] for one in repository.run("git.churn", path="sub")["files"]] == ["a.py"]
    assert [one["name"] for one in repository.run("git.changed_files", path="sub")["files"]] == ["a.py"]
    assert "b.py" not in repository.run("git.diff", path="sub")["text"]


def test_log_lists_commits_newest_first(repository: Folder) -> None:
    first = repository.commit("subject one\n\nbody\n\nof it", a="1")
    second = repository.commit("two", a="2")
    commits = repository.run("git.log")["commits"]
    assert [one["id"] for one in commits] == [second, first]
    assert commits[0]["parents"] == [first]
    assert commits[1] == {
        "id": first, "parents": [], "author": "Ada", "email": "ada@example.org",
        "at": "2024-01-01T12:00:00Z", "subject": "subject one", "body": "body\n\nof it",
    }  # fmt: skip
    assert len(repository.run("git.log", limit=1)["commits"]) == 1
    assert repository.run("git.log", limit=0)["commits"] == []
    assert [one["id"] for one in repository.run("git.log", revision="HEAD~1")["commits"]] == [first]


def test_the_log_of_a_whole_repository_has_merges_and_empty_commits_that_of_a_folder_only_what_touched_it(
    repository: Folder,
) -> None:
    (repository.path / "sub").mkdir()
    repository.commit("one", **{"sub/a": "1"})
    repository.git("checkout", "-qb", "side")
    repository.commit("two", **{"sub/a": "2"})
    repository.git("checkout", "-q", "main")
    repository.git("commit", "-q", "--allow-empty", "-m", "nothing")
    repository.git("merge", "-q", "--no-ff", "-m", "merged", "side")

    def subjects(**inputs: Any) -> list[str]:
        return sorted(one["subject"] for one in repository.run("git.log", **inputs)["commits"])

    assert subjects() == subjects(path=str(repository.path)) == ["merged", "nothing", "one", "two"]
    assert subjects(path="sub") == ["one", "two"]
    churned = repository.run("git.churn")
    assert (churned["files"][0]["commits"], churned["complete"]) == (2, True)


def test_diff_and_changed_files_see_the_working_tree(repository: Folder) -> None:
    repository.commit("one", a=LINES, b="b\n", c="c\n")
    (repository.path / "b").unlink()
    (repository.path / "c").write_bytes(b"\0\xff")
    (repository.path / "new\nline").write_text("n")
    repository.git("mv", "a", "moved")
    found = repository.run("git.changed_files")
    assert [(one["name"], one["status"], one["old_name"], one["added"]) for one in found["files"]] == [
        ("b", "deleted", None, 0), ("c", "modified", None, None), ("moved", "renamed", "a", 0),
        ("new\nline", "untracked", None, None),
    ]  # fmt: skip
    assert found["paths"] == [str(repository.path / name) for name in ("c", "moved", "new\nline")]
    assert len(repository.run("git.changed_files", untracked=False)["files"]) == 3
    text = repository.run("git.diff")["text"]
    assert "deleted file" in text
    assert "rename from a" in text


def test_two_commits_are_compared(repository: Folder) -> None:
    repository.commit("one", a="1\n2\n3\n")
    repository.commit("two", a="1\nzwei\n3\n")
    (repository.path / "a").write_text("not looked at")
    found = repository.run("git.diff", base="HEAD~1", head="HEAD", lines=0)
    assert found["files"][0]["added"] == 1
    assert found["text"].endswith("@@ -2 +2 @@\n-2\n+zwei\n")
    assert repository.run("git.diff", base="HEAD~1", head="HEAD", paths=["nope"])["text"] == ""


def test_a_repository_without_commits_is_no_error(repository: Folder) -> None:
    (repository.path / "a").write_text("x\n")
    repository.git("add", "a")
    assert repository.run("git.log") == {"commits": []}
    nothing = {"files": [], "commits": 0, "complete": True, "commit": None, "at": None}
    assert repository.run("git.churn") == {**nothing, "found": True}
    assert [one["status"] for one in repository.run("git.changed_files")["files"]] == ["added"]
    assert repository.run("git.diff")["files"][0]["name"] == "a"
    with pytest.raises(InputRefused):
        repository.run("git.diff", base="HEAD", head="HEAD")


def test_a_folder_that_is_no_repository_is_an_error_unless_allowed(folder: Folder) -> None:
    for name in ("git.log", "git.diff", "git.changed_files", "git.churn"):
        with pytest.raises(NotARepository):
            folder.run(name)
    nothing = {"files": [], "commits": 0, "complete": True, "commit": None, "at": None}
    assert folder.run("git.churn", missing_ok=True) == {**nothing, "found": False}


def test_without_git_the_error_says_so(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(folder.path))
    with pytest.raises(GitFailed, match="cannot be started"):
        folder.run("git.log")
    assert folder.run("git.churn", missing_ok=True)["found"] is False


@pytest.mark.parametrize("revision", ["--output=pwned", "nope", "", "HEAD\0"])
def test_a_revision_is_never_an_option(repository: Folder, revision: str) -> None:
    repository.commit("one", a="1")
    for name, inputs in (("git.log", {"revision": revision}), ("git.diff", {"base": revision})):
        with pytest.raises(InputRefused, match="revision"):
            repository.run(name, **inputs)
    assert not (repository.path / "pwned").exists()


def test_settings_of_a_repository_run_nothing(repository: Folder) -> None:
    repository.commit("one", a="1")
    (repository.path / "a").write_text("2")
    for key in ("diff.external", "core.fsmonitor", "core.pager", "diff.x.textconv", "log.showSignature"):
        repository.git(
            "config", key, "true" if key.startswith("log") else f"touch {repository.path}/pwned; true"
        )
    (repository.path / ".gitattributes").write_text("a diff=x\n")
    for name in ("git.log", "git.diff", "git.changed_files", "git.churn"):
        repository.run(name)
        repository.reads(name)
    repository.run("fs.glob", root=".", gitignore=True)
    assert not (repository.path / "pwned").exists()


def test_what_is_read_changes_with_the_commit_and_where_it_matters_the_files(repository: Folder) -> None:
    assert repository.reads("git.churn") is None
    repository.commit("one", a="1")
    told = {
        name: repository.reads(name) for name in ("git.log", "git.churn", "git.diff", "git.changed_files")
    }
    assert None not in told.values()
    (repository.path / "untracked").write_text("x")
    now = {name: repository.reads(name) for name in told}
    assert {name for name in told if told[name] != now[name]} == {"git.diff", "git.changed_files"}
    (repository.path / "untracked").unlink()
    (repository.path / "a").write_text("2")
    assert repository.reads("git.diff") not in (told["git.diff"], now["git.diff"])
    assert repository.reads("git.diff", base="HEAD", head="HEAD") is not None
    repository.commit("two", a="3")
    assert repository.reads("git.churn") != told["git.churn"]
    assert repository.reads("git.churn", since="2 weeks ago") is None, "that depends on today"
    assert repository.reads("git.churn", since="2024-01-01") is not None
    assert repository.reads("git.churn", revision="--help") is None


def test_globbing_may_leave_out_what_git_ignores(repository: Folder) -> None:
    repository.commit("one", **{".gitignore": "build\n", "a.py": "", "gone.py": ""})
    (repository.path / "build").mkdir()
    (repository.path / "build" / "x.py").write_text("")
    (repository.path / "fresh.py").write_text("")
    (repository.path / "gone.py").unlink()
    found = repository.run("fs.glob", root=".", patterns=["**/*.py"], gitignore=True)
    assert [one["name"] for one in found["items"]] == ["a.py", "fresh.py"]
    assert len(repository.run("fs.glob", root=".", patterns=["**/*.py"])["items"]) == 3


def test_globbing_outside_a_repository_lists_everything(folder: Folder) -> None:
    (folder.path / "a.py").write_text("")
    assert len(folder.run("fs.glob", root=".", gitignore=True)["items"]) == 1


@pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati", "America/Los_Angeles"])
def test_a_date_is_its_beginning_in_utc_whatever_the_clock_and_the_zone(
    zone: str, repository: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    for at in ("2024-01-01T23:30:00Z", "2024-01-02T00:30:00Z"):
        monkeypatch.setenv("GIT_COMMITTER_DATE", at)
        repository.commit(at, a=at)
    monkeypatch.setenv("TZ", zone)
    after = repository.run("git.log", since="2024-01-02")["commits"]
    before = repository.run("git.log", until="2024-01-02")["commits"]
    assert [commit["subject"] for commit in after] == ["2024-01-02T00:30:00Z"]
    assert [commit["subject"] for commit in before] == ["2024-01-01T23:30:00Z"]
    assert len(repository.run("git.log", since="2024-01-01 23:00")["commits"]) == 2
    assert len(repository.run("git.log", since="2024-01-02T02:00:00+02:00")["commits"]) == 1
    assert repository.run("git.churn", since="2024-01-02")["commits"] == 1


def test_history_that_is_told_otherwise_for_the_same_commit_counts(
    repository: Folder, tmp_path_factory: pytest.TempPathFactory
) -> None:
    for count in range(5):
        repository.commit(f"{count}", a=str(count))
    clone = Folder(tmp_path_factory.mktemp("clone"))
    clone.git("clone", "-q", "--depth", "2", f"file://{repository.path}", ".")
    seen = []
    for depth in ("", "--depth=3", "--depth=4", "--unshallow"):
        if depth:
            clone.git("fetch", "-q", depth)
        seen.append((len(clone.run("git.log")["commits"]), clone.reads("git.log")))
    assert [count for count, _ in seen] == [2, 3, 4, 5]
    assert len({told for _, told in seen}) == 4


def test_paths_of_another_clone_are_not_taken_for_those_of_this_one(
    repository: Folder, tmp_path_factory: pytest.TempPathFactory
) -> None:
    repository.commit("one", a="1")
    repository.commit("two", a="2")
    clone = Folder(tmp_path_factory.mktemp("clone"))
    clone.git("clone", "-q", f"file://{repository.path}", ".")
    ends = {"base": "HEAD~1", "head": "HEAD"}
    for name in ("git.diff", "git.changed_files"):
        for given in (ends, {}):
            assert repository.reads(name, **given) != clone.reads(name, **given)


def test_attributes_that_say_how_to_compare_count_between_commits(repository: Folder) -> None:
    (repository.path / "sub").mkdir()
    repository.commit("one", **{"a": "1", "sub/b": "1", "sub/.gitattributes": ""})
    repository.commit("two", **{"a": "2", "sub/b": "2"})
    seen = []
    for name, text in (
        (".gitattributes", ""),
        (".gitattributes", "a binary\n"),
        ("sub/.gitattributes", "b binary\n"),
    ):
        (repository.path / name).write_text(text)
        ends = {"base": "HEAD~1", "head": "HEAD"}
        seen.append((repository.run("git.diff", **ends)["text"], repository.reads("git.diff", **ends)))
    assert len({text for text, _ in seen}) == len({told for _, told in seen}) == 3
