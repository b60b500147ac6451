"""Homes, settings and templates that somebody else may have put there are not obeyed."""

import json
import os
import stat
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from tests.support.commands import SYMPHONY, CommandLine

pytestmark = pytest.mark.slow

STRANGER = 54_321
MODEL = '[models.writer]\nprovider = "openai"\nurl = "http://127.0.0.1:1/v1"\n'
WORKFLOW = 'name: W\nnodes:\n  a: {command: "printf %s hello"}\noutputs: {a: "${{ a.stdout }}"}\n'
LARGE = "x" * 40_000

Symphony = Callable[..., subprocess.CompletedProcess[str]]

as_root = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give files away: run as root"
)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A working tree with a workflow."""
    folder = tmp_path / "tree"
    folder.mkdir()
    (folder / "w.yaml").write_text(WORKFLOW)
    return folder


@pytest.fixture
def symphony(tmp_path: Path, tree: Path) -> Symphony:
    """The command in the working tree, by a user without SYMPHONY_HOME."""

    def run(
        *arguments: str, env: Mapping[str, str] | None = None, umask: int = -1, cwd: Path = tree
    ) -> subprocess.CompletedProcess[str]:
        line = CommandLine(cwd, SYMPHONY_HOME=None, XDG_DATA_HOME=str(tmp_path / "data"))
        return subprocess.run(
            [*SYMPHONY, *arguments],
            cwd=cwd,
            env=line.environment(**(env or {})),
            capture_output=True,
            text=True,
            timeout=60,
            umask=umask,
        )

    return run


def home(tree: Path, config: str = MODEL) -> Path:
    folder = tree / ".symphony"
    folder.mkdir(mode=0o700)
    (folder / "config.toml").write_text(config)
    return folder


def models(symphony: Symphony) -> list[str]:
    listed = symphony("models", "list", "--json")
    assert listed.returncode == 0, listed.stderr
    return [model["id"] for model in json.loads(listed.stdout)]


def test_settings_of_a_working_tree_count_only_when_trusted_as_they_are(
    symphony: Symphony, tree: Path
) -> None:
    config = home(tree) / "config.toml"
    assert "writer" not in models(symphony)
    ran = symphony("run", "w.yaml", "--json")
    assert ran.returncode == 0
    assert "does not count" in ran.stderr
    assert "models.writer.url" in ran.stderr  # what was ignored
    assert f"symphony trust {tree}" in ran.stderr  # how to go on
    assert (tree / ".symphony/journal").is_dir()  # the home itself is used

    trusted = symphony("trust")
    assert trusted.returncode == 0, trusted.stderr
    assert "models.writer.url" in trusted.stdout
    assert "writer" in models(symphony)
    assert "does not count" not in symphony("run", "w.yaml").stderr

    config.write_text(MODEL.replace(":1/", ":2/"))  # the next commit
    assert "writer" not in models(symphony)
    config.write_text(MODEL)
    assert "writer" in models(symphony)
    assert symphony("trust", "--remove").returncode == 0
    assert "writer" not in models(symphony)


def test_trusted_settings_do_not_count_in_another_folder(
    symphony: Symphony, tree: Path, tmp_path: Path
) -> None:
    other = home(tree)
    assert symphony("trust").returncode == 0
    copy = tmp_path / "copy"
    tree.rename(copy)
    tree.mkdir()
    other.mkdir(mode=0o700)
    (other.parent / ".symphony/config.toml").write_text(MODEL.replace("writer", "reader"))
    assert "reader" not in models(symphony)
    assert "writer" not in models(symphony)


def test_adding_a_model_keeps_the_trust_and_gives_none(symphony: Symphony, tree: Path) -> None:
    (tree / ".symphony").mkdir(mode=0o700)
    add = ("models", "add", "first", "--provider", "openai", "--url", "http://127.0.0.1:1/v1")
    assert symphony(*add).returncode == 0
    assert "first" in models(symphony)  # the file is the user's own work
    config = tree / ".symphony/config.toml"
    config.write_text(config.read_text() + "\n" + MODEL)  # somebody else's
    assert symphony("models", "add", "second", *add[3:]).returncode == 0
    assert not {"first", "second", "writer"} & set(models(symphony))


@pytest.mark.parametrize("text", ["", "[models", "\x00", "[tracing]\nendpoint = 5\n", "a = " + "[" * 5000])
def test_whatever_stands_in_settings_that_do_not_count_a_run_succeeds(
    symphony: Symphony, tree: Path, text: str
) -> None:
    home(tree, text)
    ran = symphony("run", "w.yaml", "--json")
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["outputs"] == {"a": "hello"}


def test_no_name_in_a_working_tree_reaches_the_terminal_as_control_characters(
    symphony: Symphony, tree: Path
) -> None:
    odd = tree / "odd\x1b[2J\u202e"
    odd.mkdir()
    home(odd, '["\\u001b]0;x\\u0007"]\nx = 1\n')
    (odd / "symphony-templates").mkdir()
    (odd / "symphony-templates").chmod(0o777)
    for command in (["run", "../w.yaml"], ["template", "list"], ["models", "list"], ["doctor"], ["trust"]):
        done = symphony(*command, cwd=odd)
        said = done.stderr + done.stdout
        assert "odd\\x1b[2J" in said
        assert not {"\x1b", "\x07", "\u202e"} & set(said), command


def test_a_named_home_counts_as_it_is(symphony: Symphony, tree: Path) -> None:
    home(tree)
    listed = symphony("models", "list", "--json", env={"SYMPHONY_HOME": ".symphony"})
    assert "writer" in [model["id"] for model in json.loads(listed.stdout)]
    refused = symphony("trust", env={"SYMPHONY_HOME": ".symphony"})
    assert refused.returncode == 2
    assert "count already" in refused.stderr


@as_root
def test_a_home_of_another_user_is_passed_over_with_a_reason(
    symphony: Symphony, tree: Path, tmp_path: Path
) -> None:
    place = home(tree)
    assert symphony("trust").returncode == 0
    os.chown(place, STRANGER, STRANGER)
    ran = symphony("run", "w.yaml", "--json")
    assert ran.returncode == 0, ran.stderr
    assert "it belongs to another user" in ran.stderr
    assert "writer" not in models(symphony)
    assert not (place / "journal").exists()
    assert (tmp_path / "data/symphony/journal").is_dir()
    os.chown(place, 0, 0)
    place.rename(tree / "elsewhere")
    place.symlink_to(tree / "elsewhere")
    os.chown(place, STRANGER, STRANGER, follow_symlinks=False)
    assert "it belongs to another user" in symphony("run", "w.yaml").stderr


@as_root
@pytest.mark.parametrize("part", ["journal", "artifacts", "logs/runs"])
def test_a_home_with_a_link_to_where_others_write_is_passed_over_with_a_reason(
    part: str, symphony: Symphony, tree: Path, tmp_path: Path
) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    folder = home(tree)
    (folder / part).parent.mkdir(exist_ok=True)
    (folder / part).symlink_to(shared)
    shared.chmod(0o777)
    done = symphony("run", "w.yaml", "--quiet")
    assert (done.returncode, done.stdout) == (0, "a = hello\n")
    assert (
        f"{folder} is not used as the home: its {part} leads to {shared}, and everybody may write"
        in done.stderr
    )
    assert list(shared.iterdir()) == []
    shared.chmod(0o700)
    assert "is not used" not in symphony("run", "w.yaml", "--quiet").stderr


def test_a_named_home_of_another_user_is_taken_with_a_warning(symphony: Symphony, tree: Path) -> None:
    place = home(tree)
    os.chown(place, STRANGER, STRANGER)
    ran = symphony("run", "w.yaml", env={"SYMPHONY_HOME": str(place)})
    assert ran.returncode == 0, ran.stderr
    assert "belongs to another user" in ran.stderr
    assert (place / "journal").is_dir()


def modes(folder: Path) -> dict[str, int]:
    """What others may do, of all that is there but sockets and links."""
    found = {str(path): path.lstat().st_mode for path in (folder, *folder.rglob("*"))}
    return {
        name: stat.S_IMODE(mode) for name, mode in found.items()
        if not stat.S_ISLNK(mode) and mode & 0o077
    }  # fmt: skip


def test_a_loose_home_of_ones_own_is_tightened_and_that_is_said(symphony: Symphony, tree: Path) -> None:
    (tree / ".symphony").mkdir()
    assert symphony("run", "w.yaml", umask=0).returncode == 0
    for path in (tree / ".symphony", *(tree / ".symphony").rglob("*")):
        path.chmod(0o777 if path.is_dir() else 0o666)
    listed = symphony("runs", "list")
    assert listed.returncode == 0
    assert "open to other users" in listed.stderr
    assert modes(tree / ".symphony") == {}
    assert "open to other users" not in symphony("runs", "list").stderr


@pytest.mark.parametrize("umask", [0, 0o077])
def test_nothing_that_is_written_under_the_home_is_for_others(
    symphony: Symphony, tree: Path, tmp_path: Path, umask: int
) -> None:
    (tree / "w.yaml").write_text(
        "name: W\nnodes:\n"
        f"  large: {{operator: debug.value, inputs: {{value: {LARGE}}}, artifact: {{name: large}}}}\n"
        "  says: {command: 'echo said; echo told >&2'}\n"
        "  pure: {operator: text.split, inputs: {text: 'a b', separator: ' '}}\n"
        'outputs: {a: "${{ large.result }}"}\n'
    )
    for _ in range(2):
        ran = symphony("run", "w.yaml", "--json", umask=umask)
        assert ran.returncode == 0
        assert "open to other users" not in ran.stderr
    assert symphony("artifacts", "list", umask=umask).returncode == 0
    assert symphony(
        "models", "add", "m", "--provider", "openai", "--url", "http://127.0.0.1:1/v1", umask=umask
    )
    assert modes(tmp_path / "data/symphony") == {}


def test_folders_with_other_things_in_them_are_not_tightened(symphony: Symphony, tree: Path) -> None:
    tree.chmod(0o755)
    (tree / "w.yaml").chmod(0o644)
    assert symphony("run", "w.yaml", env={"SYMPHONY_HOME": str(tree)}).returncode == 0
    assert stat.S_IMODE(tree.stat().st_mode) == 0o755
    assert stat.S_IMODE((tree / "w.yaml").stat().st_mode) == 0o644


def template(tree: Path, name: str) -> Path:
    folder = tree / "symphony-templates"
    folder.mkdir(mode=0o755, exist_ok=True)
    text = json.loads(json.dumps(WORKFLOW)).replace("name: W", "name: Planted\nmetadata: {template: {}}")
    (folder / f"{name}.yaml").write_text(text)
    return folder


def shipped(symphony: Symphony) -> dict[str, dict[str, object]]:
    return {entry["name"]: entry for entry in json.loads(symphony("template", "list", "--json").stdout)}


def test_a_template_in_place_of_a_shipped_one_is_said(symphony: Symphony, tree: Path) -> None:
    template(tree, "repo-census")
    assert shipped(symphony)["repo-census"]["shadows"] is True
    shown = symphony("template", "show", "repo-census")
    assert "takes the place of the template repo-census that ships with Symphony" in shown.stderr


@pytest.mark.parametrize("mode", [0o757, pytest.param(0o755, marks=as_root)])
def test_templates_that_others_may_have_put_there_are_ignored_and_left_alone(
    symphony: Symphony, tree: Path, mode: int
) -> None:
    folder = template(tree, "repo-census")
    folder.chmod(mode)
    if mode == 0o755:
        os.chown(folder, STRANGER, STRANGER)
    listed = symphony("template", "list", "--json")
    assert "are not used" in listed.stderr
    assert shipped(symphony)["repo-census"]["from"] == "symphony"
    assert stat.S_IMODE(folder.stat().st_mode) == mode
