"""A repository of a stranger: its settings name programs, and none of them runs."""

import asyncio
import inspect
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.support.commands import CommandLine

from symphony.commons.errors import SymphonyError
from symphony.kit import operators
from symphony.kit.errors import GitFailed, NotARepository
from symphony.sdk import Context

pytestmark = pytest.mark.slow

NAMES = ("x", "lfs", "a=b", "We.ird na-me")
"""Names that a stranger gives to filters and drivers; one with `=` cannot be overridden by `git -c`."""

PROGRAMS = """
alias.diff alias.log alias.ls-files alias.rev-parse browser.x.cmd core.alternateRefsCommand
core.askPass core.editor core.fsmonitor core.gitProxy core.pager core.sshCommand credential.helper
credential.https://example.org.helper diff.external diff.guitool diff.tool difftool.x.cmd
difftool.x.path fetch.bundleURI gc.recentObjectsHook gpg.program gpg.openpgp.program
gpg.ssh.defaultKeyCommand gpg.ssh.program gpg.x509.program guitool.x.cmd help.browser hook.x.command
imap.tunnel instaweb.browser instaweb.httpd interactive.diffFilter man.x.cmd man.x.path
merge.guitool merge.tool merge.x.driver mergetool.x.cmd mergetool.x.path pager.branch pager.diff
pager.log pager.ls-files pager.tag receive.procReceiveRefs remote.origin.proxy
remote.origin.receivepack remote.origin.uploadpack remote.origin.vcs sendemail.ccCmd
sendemail.headerCmd sendemail.smtpServer sendemail.sendmailCmd sendemail.toCmd sequence.editor
submodule.x.update tar.x.command trailer.x.cmd trailer.x.command uploadpack.packObjectsHook
web.browser
"""
"""The keys of git's configuration that name a program, from `git help --config` of 2.39 to 2.54."""

OF_EACH_NAME = (
    "filter.{}.clean",
    "filter.{}.smudge",
    "filter.{}.process",
    "diff.{}.textconv",
    "diff.{}.command",
)
OPERATORS = ("git.log", "git.tags", "git.diff", "git.changed_files", "git.churn")


class Stranger:
    """A folder `tree` with settings that name programs; each leaves a mark when it runs."""

    def __init__(self, place: Path) -> None:
        self.tree, self.marks, self.programs = place / "tree", place / "marks", place / "programs"
        for folder in (self.tree, self.marks, self.programs):
            folder.mkdir()

    def git(self, *arguments: str, at: Path | None = None) -> None:
        names = ("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL")
        quiet = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
        env = {**os.environ, **dict.fromkeys(names, "n@example.org"), **quiet}
        subprocess.run(
            ["git", *arguments],
            cwd=at or self.tree,
            env=env,
            stdin=subprocess.DEVNULL,
            check=True,
            capture_output=True,
            timeout=60,
        )

    def repository(self, at: Path | None = None) -> Path:
        """Files in two commits and a tag, and changes since."""
        at = at or self.tree
        at.mkdir(exist_ok=True)
        self.git("init", "-q", "-b", "main", at=at)
        for text in ("1\n", "2\n"):
            for number in range(len(NAMES)):
                (at / f"{number}.txt").write_text(text)
            self.git("add", "-A", at=at)
            self.git("commit", "-qm", text, at=at)
        self.git("tag", "-am", "t", "v1", at=at)
        rules = [f"{number}.txt filter={name} diff={name}" for number, name in enumerate(NAMES[:3])]
        (at / ".gitattributes").write_text("\n".join(rules) + "\n")
        (at / ".git" / "info").mkdir(exist_ok=True)
        (at / ".git" / "info" / "attributes").write_text("*.md filter=x diff=x\n")
        for number in range(len(NAMES)):
            (at / f"{number}.txt").write_text("changed\n")
        (at / "new.md").write_text("x\n")
        return at

    def program(self, key: str) -> str:
        """A program of its own for `key`."""
        safe = "".join(c if c.isalnum() else "_" for c in key)
        path = self.programs / safe
        path.write_text(f"#!/bin/sh\n: > '{self.marks}/{safe}'\nexit 1\n")
        path.chmod(0o755)
        return str(path)

    def settings(self) -> list[tuple[str, str]]:
        keys = [*PROGRAMS.split(), *(key.format(name) for name in NAMES for key in OF_EACH_NAME)]
        found = [(key, self.program(key)) for key in keys]
        found = [(key, f"!{value}" if key.startswith(("alias", "subm")) else value) for key, value in found]
        hooks = self.programs / "hooks"
        hooks.mkdir(exist_ok=True)
        for name in ("post-index-change", "reference-transaction", "fsmonitor-watchman", "post-checkout"):
            Path(self.program(f"hooks-{name}")).rename(hooks / name)
        more = [
            ("core.hooksPath", str(hooks)),
            ("log.showSignature", "true"),
            ("core.untrackedCache", "true"),
        ]
        return [*found, *more, *((f"filter.{name}.required", "true") for name in NAMES)]

    def plant(self, file: Path) -> None:
        """Write all settings to the configuration `file`."""
        lines: list[str] = []
        for key, value in self.settings():
            section, _, rest = key.partition(".")
            inner, dot, name = rest.rpartition(".")
            lines += [f'[{section} "{inner}"]' if dot else f"[{section}]", f'{name} = "{value}"']
        with file.open("a", encoding="utf-8") as stream:
            stream.write("\n".join(lines) + "\n")

    def context(self, at: Path) -> Context:
        return Context(
            run_id="r", node="n", attempt=1, cwd=at, base=at, log=lambda *_: None, cancelled=lambda: False
        )

    def run(self, name: str, at: Path, /, **inputs: Any) -> dict[str, Any]:
        one = operators()[name]
        returned = one.function(context=self.context(at), **inputs)
        return one.ports(asyncio.run(returned) if inspect.iscoroutine(returned) else returned)

    def look(self, at: Path | None = None) -> dict[str, str]:
        """Run every operator that asks git, at `at`; the errors."""
        errors: dict[str, str] = {}
        at = at or self.tree
        for name, inputs in (
            *((name, {}) for name in OPERATORS),
            ("fs.glob", {"root": ".", "gitignore": True}),
        ):
            one = operators()[name]
            try:
                self.run(name, at, **inputs)
            except SymphonyError as error:
                errors[name] = error.message
            if one.reads is not None:
                one.reads(inputs, self.context(at))
        return errors

    @property
    def ran(self) -> list[str]:
        return sorted(path.name for path in self.marks.iterdir())


@pytest.fixture
def stranger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stranger:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    return Stranger(tmp_path)


def test_the_programs_do_run_when_nobody_prevents_it(stranger: Stranger) -> None:
    """What the other tests plant is alive: a plain git runs it."""
    stranger.repository()
    stranger.plant(stranger.tree / ".git" / "config")
    for words in (
        ["git", "diff"],
        ["git", "diff", "--no-ext-diff"],
        *(["git", "diff", f"{n}.txt"] for n in range(3)),
    ):
        subprocess.run(
            words, cwd=stranger.tree, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=60
        )
    ran = " ".join(stranger.ran)
    for expected in ("core_fsmonitor", "filter_x_process", "filter_lfs_process", "filter_a_b_process"):
        assert expected in ran


@pytest.mark.parametrize("where", ["config", "include", "includeIf", "worktree"])
def test_no_program_that_a_repository_names_runs(stranger: Stranger, where: str) -> None:
    config = stranger.repository() / ".git" / "config"
    if where == "worktree":
        stranger.git("config", "extensions.worktreeConfig", "true")
        stranger.plant(stranger.tree / ".git" / "config.worktree")
    elif where == "config":
        stranger.plant(config)
    else:
        stranger.plant(stranger.programs / "more")
        key = "include.path" if where == "include" else f"includeIf.gitdir:{stranger.tree}/.path"
        stranger.git("config", "--file", str(config), key, str(stranger.programs / "more"))
    assert stranger.look() == {}
    assert stranger.ran == []
    assert stranger.run("git.changed_files", stranger.tree)["files"][0]["name"] == ".gitattributes"
    assert "+changed" in stranger.run("git.diff", stranger.tree)["text"]


@pytest.mark.parametrize("key", ["core.fsmonitor", "diff.external", "filter.x.clean", "diff.x.textconv"])
def test_no_single_setting_runs_its_program(stranger: Stranger, key: str) -> None:
    stranger.repository()
    stranger.git("config", key, stranger.program(key))
    assert stranger.look() == {}
    assert stranger.ran == []


def test_a_repository_inside_has_settings_of_its_own_and_none_runs(stranger: Stranger) -> None:
    stranger.repository()
    inner = stranger.repository(stranger.tree / "inner")
    stranger.plant(inner / ".git" / "config")
    other = stranger.repository(stranger.tree.parent / "other")
    stranger.git("-c", "protocol.file.allow=always", "submodule", "add", "-q", str(other), "sub")
    stranger.git("commit", "-qam", "sub")
    stranger.plant(stranger.tree / ".git" / "modules" / "sub" / "config")
    (stranger.tree / "sub" / "0.txt").write_text("changed again\n")
    for at in (stranger.tree, inner, stranger.tree / "sub"):
        assert stranger.look(at) == {}
    assert stranger.ran == []
    names = {
        item["name"] for item in stranger.run("fs.glob", stranger.tree, root=".", gitignore=True)["items"]
    }
    assert {"inner/0.txt", "sub/0.txt", "0.txt"} <= names


def test_a_partial_clone_fetches_nothing_and_says_what_is_missing(stranger: Stranger) -> None:
    source = stranger.repository(stranger.tree.parent / "source")
    stranger.git("config", "uploadpack.allowFilter", "true", at=source)
    arguments = ("clone", "-q", "--no-checkout", "--filter=blob:none", f"file://{source}", "clone")
    stranger.git(*arguments, at=stranger.tree)
    clone = stranger.tree / "clone"
    stranger.plant(clone / ".git" / "config")
    for key, value in (("protocol.file.allow", "always"), ("protocol.ext.allow", "always")):
        stranger.git("config", key, value, at=clone)
    for address in (f"file://{source}", f"ext::{stranger.program('ext')}", "ssh://host.invalid/x"):
        stranger.git("config", "remote.origin.url", address, at=clone)
        errors = stranger.look(clone)
        assert set(errors) == {"git.diff", "git.changed_files", "git.churn"}
        assert "lacks objects" in errors["git.churn"]
    assert stranger.ran == []


def test_a_file_that_leads_to_a_repository_elsewhere_brings_no_program(stranger: Stranger) -> None:
    hidden = stranger.repository(stranger.tree / "hidden")
    stranger.plant(hidden / ".git" / "config")
    (hidden / ".git").rename(stranger.tree / "hidden" / "data")
    (stranger.tree / ".git").write_text("gitdir: hidden/data\n")
    stranger.look()
    assert stranger.ran == []
    stranger.git("config", "--file", "hidden/data/config", "core.worktree", "/")
    stranger.look()
    assert stranger.ran == []


def test_a_working_tree_that_a_repository_claims_elsewhere_is_not_looked_at(stranger: Stranger) -> None:
    elsewhere = stranger.tree.parent / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "0.txt").write_text("private\n")
    (elsewhere / "diary.txt").write_text("private\n")
    stranger.repository()
    stranger.git("config", "core.worktree", str(elsewhere))
    assert [one["subject"] for one in stranger.run("git.log", stranger.tree)["commits"]] == ["2", "1"]
    assert stranger.look().keys() == {"git.diff", "git.changed_files"}
    named = [
        Path(one).name for one in stranger.run("fs.glob", stranger.tree, root=".", gitignore=True)["paths"]
    ]
    assert named == ["0.txt", "1.txt", "2.txt", "3.txt", "new.md"]
    stranger.git("config", "core.worktree", str(stranger.tree))
    assert stranger.look() == {}


def test_a_bare_repository_is_read_where_it_is_named_and_not_from_below(stranger: Stranger) -> None:
    source = stranger.repository(stranger.tree.parent / "source")
    stranger.git("clone", "-q", "--bare", str(source), "bare")
    bare = stranger.tree / "bare"
    stranger.plant(bare / "config")
    assert [one["subject"] for one in stranger.run("git.log", bare)["commits"]] == ["2", "1"]
    (bare / "docs").mkdir()
    with pytest.raises(NotARepository, match="inside of a bare repository"):
        stranger.run("git.log", bare / "docs")
    stranger.look(bare)
    stranger.look(bare / "docs")
    assert stranger.ran == []


def test_a_repository_of_another_user_is_refused_with_the_folder_to_trust(
    stranger: Stranger, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stranger.repository()
    (stranger.tree / "folder").mkdir()
    (stranger.tree / "folder" / "f.txt").write_text("f")
    monkeypatch.setattr("symphony.kit.guarded_git._USER_SETTINGS", ("GIT_TEST_ASSUME_DIFFERENT_OWNER",))
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    with pytest.raises(GitFailed, match="belongs to another user") as caught:
        stranger.run("git.log", stranger.tree / "folder")
    assert caught.value.hint is not None
    assert caught.value.hint.endswith(f"safe.directory {stranger.tree}")
    found = stranger.run("fs.glob", stranger.tree / "folder", root=".", gitignore=True)
    assert [one["name"] for one in found["items"]] == ["f.txt"]
    assert "another user" in found["problems"][0]["message"]


def test_the_repository_report_of_a_strangers_folder_runs_nothing(stranger: Stranger, tmp_path: Path) -> None:
    stranger.repository()
    (stranger.tree / "a.py").write_text("def f():\n    return 1\n")
    stranger.plant(stranger.tree / ".git" / "config")
    example = Path(__file__).parents[2] / "examples" / "repo-report" / "workflow.yaml"
    done = CommandLine(tmp_path).call("run", str(example), "--input", f"path={stranger.tree}", timeout_s=300)
    assert done.status == 0, done.err
    assert stranger.ran == []
