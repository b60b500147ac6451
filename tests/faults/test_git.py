"""git: what its settings, its variables and repositories inside must not change."""

import asyncio
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from symphony.kit import operators

pytestmark = pytest.mark.slow

COMMIT = "git -c user.name=n -c user.email=e@example.org commit -qm one"


def made(case: Any) -> Any:
    """The case with the repositories that its script makes, without the runs in it."""
    lines = (case.folder / "make.sh").read_text().splitlines()
    case.sh("\n".join(line for line in lines if not line.lstrip().startswith(("symphony", "GIT_DIR"))))
    return case


def outputs(case: Any, *arguments: str, **env: str) -> dict[str, object]:
    result = case.run(*arguments, "--no-cache", env=env)
    found = result["outputs"]
    assert isinstance(found, dict), json.dumps(result)
    return found


def test_a_tag_of_a_tag_stands_for_the_commit_at_its_end(fault: Any) -> None:
    case = made(fault("git-nested-tag"))
    case.sh("cd r && git -c user.name=t -c user.email=t@example.com tag -a most outer -m most")
    found = outputs(case, "w.yaml")["t"]
    assert isinstance(found, list)
    assert {one.split()[0] for one in found} == {"inner", "outer", "most"}
    assert len({one.split()[1] for one in found}) == 1
    case.sh(f'test "$(git -C r rev-parse HEAD)" = {found[0].split()[1]}')


SETTINGS = (
    ("log.showRoot", "false"),
    ("i18n.logOutputEncoding", "ISO-8859-1"),
    ("i18n.commitEncoding", "ISO-8859-1"),
    ("log.follow", "true"),
    ("log.diffMerges", "off"),
    ("diff.orderFile", "/nowhere"),
    ("diff.relative", "true"),
    ("core.quotePath", "true"),
    ("core.attributesFile", "ATTRIBUTES"),
    ("log.mailmap", "true"),
    ("color.ui", "always"),
    ("format.pretty", "oneline"),
    ("tag.sort", "refname"),
    ("alias.log", "!false"),
)


@pytest.mark.parametrize("scope", ["local", "global"])
def test_no_setting_of_git_changes_an_answer(fault: Any, scope: str, tmp_path: Path) -> None:
    case = fault("git-settings-change-answers")
    first = (case.folder / "make.sh").read_text().splitlines()[0]
    case.sh(first + "\ngit -C r tag one")
    expected = {"by": ["Zoë"], "files": ["a.txt"], "tags": "one"}
    assert outputs(case, "flow.yaml") == expected
    (tmp_path / "attributes").write_text("* -diff\n")
    for key, value in SETTINGS:
        where = "-C r config" if scope == "local" else f"config --file '{tmp_path}/global'"
        case.sh(f"git {where} {key} '{value.replace('ATTRIBUTES', str(tmp_path / 'attributes'))}'")
    env = {"GIT_CONFIG_GLOBAL": str(tmp_path / "global")} if scope == "global" else {}
    assert outputs(case, "flow.yaml", **env) == expected


@pytest.mark.parametrize("mark", ["\u2028", "\u0085", "\u2029"])
def test_a_tag_may_hold_what_python_calls_a_line_end(fault: Any, mark: str) -> None:
    case = fault("git-settings-change-answers")
    first = (case.folder / "make.sh").read_text().splitlines()[0]
    case.sh(f"{first}\ngit -C r tag 'a{mark}b'")
    assert outputs(case, "flow.yaml")["tags"] == f"a{mark}b"


def test_variables_that_a_hook_sets_point_no_operator_elsewhere(
    fault: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = made(fault("glob-gitignore-heeds-git-dir"))
    hooked, other = case.folder / "hooked", case.folder / "other" / "sub"
    env = {"GIT_DIR": f"{hooked}/.git", "GIT_WORK_TREE": str(hooked)}
    assert outputs(case, "flow.yaml", "--input", "root=other/sub", **env)["names"] == ["s.txt"]
    context = SimpleNamespace(cwd=other, cancelled=lambda: False)
    for env in (
        {"GIT_DIR": f"{hooked}/.git"},
        {"GIT_INDEX_FILE": f"{hooked}/.git/index", "GIT_PREFIX": "x/"},
        {"GIT_CEILING_DIRECTORIES": str(case.folder / "other")},
        {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "core.worktree", "GIT_CONFIG_VALUE_0": str(hooked)},
        {"GIT_CONFIG_PARAMETERS": "'core.bare'='true'", "GIT_LITERAL_PATHSPECS": "0"},
    ):
        with monkeypatch.context() as patch:
            for name, value in env.items():
                patch.setenv(name, value)
            found = operators()["fs.glob"].function(context=context, root=Path(), gitignore=True)
            changed = asyncio.run(operators()["git.changed_files"].function(context=context))
        assert [one["name"] for one in found["items"]] == ["s.txt"], env
        assert [one["name"] for one in changed["files"]] == ["s.txt"], env


def test_submodules_and_repositories_inside_keep_their_files(fault: Any) -> None:
    case = made(fault("glob-gitignore-loses-nested-repositories"))
    found = outputs(case, "flow.yaml", "--input", "root=top")
    assert found["names"] == ["nested/n.txt", "t.txt", "vendor/lib/l.txt"]
    assert found["problems"] == []
    assert isinstance(changed := found["changed"], list)
    assert [(one["name"], one["status"]) for one in changed] == [("nested/n.txt", "untracked")]


def test_each_repository_inside_ignores_by_its_own_rules(fault: Any) -> None:
    case = made(fault("glob-gitignore-loses-nested-repositories"))
    case.sh(
        "cd top\n"
        "echo ignored.txt > nested/.gitignore; echo i > nested/ignored.txt; echo m > ignored.txt\n"
        "git init -q nested/deep; echo d > nested/deep/d.txt\n"
        "echo away > .gitignore; git init -q away; echo a > away/a.txt\n"
        "git init -q 'full \u00e9'; cd 'full \u00e9'; echo f > f.txt; git add -A; "
        + COMMIT
        + "; rm f.txt; cd ..\n"
        "mkdir -p gone; rm -rf vendor/lib/.git"
    )
    found = outputs(case, "flow.yaml", "--input", "root=top")
    assert found["names"] == [
        "ignored.txt", "nested/deep/d.txt", "nested/n.txt", "t.txt", "vendor/lib/l.txt",
    ]  # fmt: skip
    inside = outputs(case, "flow.yaml", "--input", "root=top/nested")
    assert inside["names"] == ["deep/d.txt", "n.txt"]


def test_a_repository_that_git_refuses_to_read_is_reported(fault: Any) -> None:
    case = made(fault("glob-gitignore-loses-nested-repositories"))
    case.sh("cd top; git init -q broken; echo b > broken/b.txt; echo '[core' > broken/.git/config")
    found = outputs(case, "flow.yaml", "--input", "root=top")
    assert found["names"] == ["broken/b.txt", "nested/n.txt", "t.txt", "vendor/lib/l.txt"]
    assert isinstance(problems := found["problems"], list)
    assert [one["name"] for one in problems] == ["broken"]
    assert "bad config" in problems[0]["message"]


SHAPES = {
    "a linked working tree": "git -C r worktree add -q ../there -b other",
    "a shallow clone": 'git clone -q --depth 1 "file://$PWD/r" there',
    "a sparse clone": "git clone -q --no-checkout r there; cd there; git sparse-checkout init --cone;"
    "git sparse-checkout set d; git checkout -q main",
    "a clone that shares objects": "git -C r pack-refs --all; git clone -q --shared r there",
    "line ends as on Windows": "git clone -q -c core.autocrlf=true r there",
    "a folder apart": "git clone -q --separate-git-dir=apart r there",
    "a submodule": "git init -q top; ln -s top/s there;"
    'git -C top -c protocol.file.allow=always submodule add -q "$PWD/r" s',
    "digests of another kind": "mv r there",
}


@pytest.mark.parametrize("shape", SHAPES)
def test_repositories_of_every_shape_are_read_as_git_reads_them(shape: str, fault: Any) -> None:
    case = fault("git-nested-tag")
    kind = "sha256" if "digests" in shape else "sha1"
    case.sh(
        f"git init -q -b main --object-format={kind} r; cd r; mkdir d; printf '1\\n2\\n' > d/f.txt;"
        f"echo t > t.txt; git add -A; {COMMIT}; cd ..; {SHAPES[shape]}"
    )
    there = case.folder / "there"
    context = SimpleNamespace(cwd=there, cancelled=lambda: False)
    functions = {name: one.function for name, one in operators().items()}
    assert asyncio.run(functions["git.changed_files"](context=context))["files"] == []
    (there / "d" / "f.txt").write_text("1\n3\n")
    changed = asyncio.run(functions["git.changed_files"](context=context))
    assert [(one["name"], one["added"], one["deleted"]) for one in changed["files"]] == [("d/f.txt", 1, 1)]
    log = asyncio.run(functions["git.log"](context=context))
    assert [one["subject"] for one in log["commits"]] == ["one"]
    found = functions["fs.glob"](context=context, root=Path(), gitignore=True)
    assert [one["name"] for one in found["items"]] == ["d/f.txt", "t.txt"]
