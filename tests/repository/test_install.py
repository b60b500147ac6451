"""`make install` and `make uninstall`: what they put where, and what they leave alone.

The interpreter is a stand-in that makes environments of the right shape and downloads nothing.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow

PYTHON = """\
#!/bin/sh
echo "$*" >> "$CALLS"
for last; do :; done
case "$*" in
  *"-m pip wheel "*)
    for word; do
      if [ "${before-}" = --wheel-dir ]; then touch "$word/symphony_workflows-1-py3-none-any.whl"; fi
      before=$word
    done ;;
  "-m venv "*) mkdir -p "$last/bin" && cp "$0" "$last/bin/python" ;;
  *"-m pip install "*.whl)
    [ -f "$last" ] || exit 1
    printf '#!/bin/sh\\necho symphony 1\\n' > "${0%/*}/symphony" && chmod +x "${0%/*}/symphony" ;;
esac
"""


class User:
    """Somebody with a home, a checkout and a Python."""

    def __init__(self, place: Path) -> None:
        self.home, self.checkout, self.calls = place / "my home", place / "check out", place / "calls"
        self.data, self.bin = self.home / ".local" / "share", self.home / ".local" / "bin"
        self.home.mkdir()
        (self.checkout / "tools").mkdir(parents=True)
        shutil.copy(ROOT / "tools" / "install.sh", self.checkout / "tools")
        self.python = place / "python"
        self.python.write_text(PYTHON, encoding="utf-8")
        self.python.chmod(0o755)

    @property
    def link(self) -> Path:
        return self.bin / "symphony"

    def type(self, *words: str, status: int = 0, **variables: str) -> str:
        """What `tools/install.sh` says."""
        path = variables.pop("PATH", os.environ["PATH"])
        done = subprocess.run(
            ["tools/install.sh", *words], cwd=self.checkout, capture_output=True, text=True, timeout=60,
            env={"HOME": str(self.home), "PATH": path, "CALLS": str(self.calls), **variables},
        )  # fmt: skip
        assert done.returncode == status, done.stderr
        return done.stdout + done.stderr

    def install(self, *extras: str, status: int = 0, **variables: str) -> str:
        return self.type("install", str(self.python), *extras, status=status, **variables)

    def files(self) -> set[str]:
        return {str(path.relative_to(self.home)) for path in self.home.rglob("*")}


@pytest.fixture
def user(tmp_path: Path) -> User:
    return User(tmp_path)


def version(link: Path) -> str:
    return subprocess.run([link], capture_output=True, text=True, check=True).stdout


def test_a_link_in_the_bin_folder_leads_to_an_environment_apart_from_the_checkout(user: User) -> None:
    said = user.install()
    assert user.link.readlink() == user.data / "symphony-workflows" / "venv" / "bin" / "symphony"
    shutil.rmtree(user.checkout)
    assert version(user.link) == "symphony 1\n"
    assert f"symphony 1 is installed: {user.link}" in said
    assert f'export PATH="{user.bin}:$PATH"' in said


def test_a_bin_folder_on_the_path_is_not_told_about(user: User) -> None:
    said = user.install(PATH=f"{user.bin}:{os.environ['PATH']}")
    assert "PATH" not in said


def test_a_program_that_is_found_first_is_named(user: User, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "symphony").touch(mode=0o755)
    said = user.install(PATH=f"{other}:{user.bin}:{os.environ['PATH']}")
    assert f"symphony is {other}/symphony, which comes first" in said


def test_the_folders_that_the_user_has_named_are_taken(user: User, tmp_path: Path) -> None:
    named = {"XDG_DATA_HOME": str(tmp_path / "data"), "XDG_BIN_HOME": str(tmp_path / "bin")}
    user.install(**named)
    assert version(tmp_path / "bin" / "symphony") == "symphony 1\n"
    assert user.files() == set()


def test_folders_that_are_not_absolute_are_ignored(user: User) -> None:
    user.install(XDG_DATA_HOME="data", XDG_BIN_HOME="bin")
    assert version(user.link) == "symphony 1\n"


def test_a_second_installation_keeps_the_environment_and_what_was_added_to_it(user: User) -> None:
    user.install()
    added = user.data / "symphony-workflows" / "venv" / "added"
    added.touch()
    before = user.files()
    user.install()
    assert user.files() == before
    assert user.calls.read_text().count("-m venv") == 1
    assert user.calls.read_text().count("--force-reinstall") == 2


def test_an_environment_that_has_lost_its_interpreter_is_made_again(user: User) -> None:
    user.install()
    (user.data / "symphony-workflows" / "venv" / "bin" / "python").unlink()
    user.install()
    assert user.calls.read_text().count("-m venv") == 2
    assert version(user.link) == "symphony 1\n"


def test_what_is_installed_comes_from_the_locks_with_their_hashes(user: User) -> None:
    user.install("llama", "nats")
    locked = [line for line in user.calls.read_text().splitlines() if "--require-hashes" in line]
    assert [line.split()[-1] for line in locked] == [
        "requirements/runtime.txt", "requirements/llama.txt", "requirements/nats.txt"
    ]  # fmt: skip


@pytest.mark.parametrize("kind", ["file", "link", "dangling link"])
def test_a_program_of_somebody_else_is_not_replaced_and_nothing_else_is_done(
    kind: str, user: User, tmp_path: Path
) -> None:
    user.bin.mkdir(parents=True)
    if kind == "file":
        user.link.write_text("theirs", encoding="utf-8")
    else:
        user.link.symlink_to(tmp_path if kind == "link" else tmp_path / "nowhere")
    before = user.files()
    said = user.install(status=1)
    assert f"error: {user.link} belongs to another program" in said
    assert "XDG_BIN_HOME" in said
    assert user.files() == before
    assert not user.calls.exists()


def test_a_folder_of_somebody_else_is_left_alone(user: User) -> None:
    theirs = user.data / "symphony-workflows" / "venv"
    theirs.mkdir(parents=True)
    assert "holds something else" in user.install(status=1)
    assert "nothing to remove" in user.type("uninstall")
    assert theirs.is_dir()


def test_a_failure_on_the_way_is_told_and_the_next_installation_mends_it(user: User) -> None:
    works = user.python.read_text(encoding="utf-8")
    user.python.write_text(works.replace('"-m venv "*)', '"-m venv "*) exit 7;; x)'), encoding="utf-8")
    user.install(status=7)
    assert not user.link.exists()
    user.python.write_text(works, encoding="utf-8")
    user.install()
    assert version(user.link) == "symphony 1\n"


def test_uninstalling_takes_away_what_was_made_and_leaves_runs(user: User) -> None:
    runs = user.data / "symphony" / "journal"
    runs.mkdir(parents=True)
    before = user.files() | {".local/bin"}
    user.install()
    said = user.type("uninstall")
    assert user.files() == before
    assert f"removed {user.link} and {user.data}/symphony-workflows\n" in said
    assert f"{user.data}/symphony stays" in said
    assert "nothing to remove" in user.type("uninstall")


def test_the_link_is_found_again_wherever_it_was_put(user: User, tmp_path: Path) -> None:
    user.install(XDG_BIN_HOME=str(tmp_path / "bin"))
    user.type("uninstall")
    assert list((tmp_path / "bin").iterdir()) == []


def test_a_link_that_moves_leaves_none_behind(user: User, tmp_path: Path) -> None:
    user.install()
    user.install(XDG_BIN_HOME=str(tmp_path / "bin"))
    assert not user.link.is_symlink()
    assert version(tmp_path / "bin" / "symphony") == "symphony 1\n"


def test_a_link_that_somebody_has_replaced_stays(user: User) -> None:
    user.install()
    user.link.unlink()
    user.link.write_text("theirs", encoding="utf-8")
    assert f"removed {user.data}/symphony-workflows\n" in user.type("uninstall")
    assert user.link.read_text(encoding="utf-8") == "theirs"


def test_without_a_home_nothing_is_done(user: User) -> None:
    assert "error: HOME is not set" in user.install(status=1, HOME="")
