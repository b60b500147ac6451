"""What is shipped works where nothing of this checkout is."""

import json
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from symphony import __version__

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow

WORKFLOW = """\
name: Hello
nodes:
  greet:
    command: echo hello
outputs:
  said: ${{ greet.stdout }}
"""


def built(kind: str, source: Path, folder: Path) -> Path:
    """The `wheel` or `sdist` of `source`. No isolation: the build backend is among the requirements."""
    program = f"import sys; from hatchling.build import build_{kind} as build; print(build(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-P", "-c", program, str(folder)],
        cwd=source,
        capture_output=True,
        text=True,
        check=True,
    )
    return folder / done.stdout.split()[-1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout."""
    return built("wheel", ROOT, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new environment with the wheel; its dependencies are those of this one."""
    place = tmp_path_factory.mktemp("installed") / "env"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(place)], check=True)
    pip = [sys.executable, "-m", "pip", "--python", str(place / "bin" / "python"), "install", "-qq"]
    options = ["--disable-pip-version-check", "--no-index", "--no-deps", "--no-cache-dir"]
    subprocess.run([*pip, *options, str(wheel)], check=True)
    dependencies = place / "lib" / Path(os.__file__).parent.name / "site-packages" / "dependencies.pth"
    dependencies.write_text(_libraries(place.parent / "libraries") + "\n", encoding="utf-8")
    return place


def _libraries(folder: Path) -> str:
    """This environment's site-packages by links, without the editable install of the checkout."""
    folder.mkdir()
    for entry in Path(pytest.__file__).parents[1].iterdir():
        if "symphony" not in entry.name:
            (folder / entry.name).symlink_to(entry)
    return str(folder)


def symphony(installed: Path, home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    keep = {key: os.environ[key] for key in ("PATH", "TMPDIR", "LANG") if key in os.environ}
    return subprocess.run(
        [str(installed / "bin" / "symphony"), *arguments],
        cwd=home,
        env={**keep, "SYMPHONY_HOME": str(home), "HOME": str(home)},
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=60,
    )


def test_the_wheel_holds_the_whole_package_and_nothing_else(wheel: Path) -> None:
    shipped = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("symphony/")}
    sources = {
        str(path.relative_to(ROOT / "src"))
        for path in (ROOT / "src" / "symphony").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert shipped == sources
    assert "symphony/py.typed" in shipped
    others = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()} - {"symphony"}
    assert all(name.endswith(".dist-info") for name in others)


def test_the_wheel_is_called_symphony_workflows_and_brings_the_command_symphony(wheel: Path) -> None:
    assert wheel.name == f"symphony_workflows-{__version__}-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as archive:
        about = f"symphony_workflows-{__version__}.dist-info"
        told = archive.read(f"{about}/METADATA").decode()
        programs = archive.read(f"{about}/entry_points.txt").decode()
    assert "\nName: symphony-workflows\n" in told
    assert "symphony = symphony.__main__:main" in programs


def test_the_source_archive_gives_the_wheel_that_the_checkout_gives(wheel: Path, tmp_path: Path) -> None:
    source = built("sdist", ROOT, tmp_path)
    assert source.name == f"symphony_workflows-{__version__}.tar.gz"
    with tarfile.open(source) as archive:
        archive.extractall(tmp_path, filter="data")
    unpacked = tmp_path / source.name.removesuffix(".tar.gz")
    assert os.access(unpacked / "tools" / "install.sh", os.X_OK)
    again = built("wheel", unpacked, tmp_path)
    assert sums(again) == sums(wheel)


def sums(wheel: Path) -> dict[str, int]:
    with zipfile.ZipFile(wheel) as archive:
        return {one.filename: one.CRC for one in archive.infolist()}


def test_an_installed_wheel_knows_its_version_and_operators(installed: Path, tmp_path: Path) -> None:
    done = symphony(installed, tmp_path, "--version")
    assert (done.returncode, done.stderr) == (0, "")
    assert __version__ in done.stdout
    done = symphony(installed, tmp_path, "operators", "list", "--json")
    assert done.returncode == 0, done.stderr
    assert "fs.read" in done.stdout
    json.loads(done.stdout)
    done = symphony(installed, tmp_path, "template", "list", "--json")
    assert done.returncode == 0, done.stderr
    assert {"csv-profile", "repo-report"} <= {one["name"] for one in json.loads(done.stdout)}


def test_an_installed_wheel_runs_a_workflow(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "hello.yaml").write_text(WORKFLOW, encoding="utf-8")
    done = symphony(installed, tmp_path, "run", "hello.yaml", "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["status"] == "succeeded"
    assert result["outputs"]["said"].strip() == "hello"
