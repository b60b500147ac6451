"""Which command adds an extra, told by where Symphony is installed."""

import re
import shlex
import tomllib
from pathlib import Path

import pytest

from symphony.commons.installation import DISTRIBUTION, EXTRAS, Installation, adding

ROOT = Path(__file__).parents[3]


def installed(prefix: Path, *, has_pip: bool = True) -> Installation:
    """An environment with the package in its site-packages."""
    (prefix / "bin").mkdir(parents=True)
    library = prefix / "lib" / "python3.11" / "site-packages"
    return Installation(prefix=prefix, python=prefix / "bin" / "python", library=library, has_pip=has_pip)


def in_checkout(checkout: Path, environment: str = ".venv") -> Installation:
    (checkout / "src").mkdir(parents=True)
    (checkout / "Makefile").touch()
    prefix = checkout / environment
    return Installation(prefix=prefix, python=prefix / "bin" / "python", library=checkout / "src")


def test_extras_are_those_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["name"] == DISTRIBUTION
    assert {name: list(wanted) for name, wanted in EXTRAS.items()} == project["optional-dependencies"]


@pytest.mark.parametrize("extra", EXTRAS)
def test_every_extra_has_a_make_target_and_a_lock_with_hashes_and_no_address(extra: str) -> None:
    assert f"\n{extra}: $(MADE)/{extra} ## " in (ROOT / "Makefile").read_text(encoding="utf-8")
    lock = (ROOT / "requirements" / f"{extra}.txt").read_text(encoding="utf-8")
    versions = dict(re.findall(r"^([\w-]+)==(\S+)", lock, re.MULTILINE))
    assert {re.split(r"[><=]", wanted)[0] for wanted in EXTRAS[extra]} <= set(versions)
    assert "://" not in lock
    assert all(
        "--hash=sha256:" in part for part in re.split(r"^(?=[\w-]+==)", lock, flags=re.MULTILINE) if part
    )
    tested = (ROOT / "requirements" / "dev.txt").read_text(encoding="utf-8")
    assert versions.items() <= dict(re.findall(r"^([\w-]+)==(\S+)", tested, re.MULTILINE)).items()


def test_a_checkout_is_told_its_make_target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = in_checkout(tmp_path / "a checkout")
    assert found.adding("llama") == f"make -C '{tmp_path}/a checkout' llama"
    monkeypatch.chdir(tmp_path / "a checkout")
    assert found.adding("llama") == "make llama"


def test_a_second_environment_of_a_checkout_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = in_checkout(tmp_path, ".venv-3.13")
    monkeypatch.chdir(tmp_path)
    assert found.adding("otel") == "make VENV=.venv-3.13 otel"


def test_an_environment_elsewhere_that_points_to_a_checkout_is_told_pip(tmp_path: Path) -> None:
    checkout = in_checkout(tmp_path / "checkout")
    mine = tmp_path / "mine"
    found = Installation(prefix=mine, python=mine / "bin" / "python", library=checkout.library)
    assert found.adding("llama") == f"{mine}/bin/python -m pip install 'xllamacpp>=2026.1'"


def test_a_wheel_in_an_environment_is_told_the_pip_of_that_environment(tmp_path: Path) -> None:
    found = installed(tmp_path / "my env")
    assert shlex.split(found.adding("nats")) == [
        f"{tmp_path}/my env/bin/python", "-m", "pip", "install", "nats-py>=2.10"
    ]  # fmt: skip


def test_an_environment_without_pip_is_told_uv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = installed(tmp_path / "env", has_pip=False)
    (tmp_path / "uv").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert found.adding("llama") == f"uv pip install --python {found.python} 'xllamacpp>=2026.1'"


def test_an_environment_without_pip_and_uv_is_told_to_make_pip_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = installed(tmp_path / "env", has_pip=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    first, second = found.adding("llama").split(" && ")
    assert first == found.adding_pip() == f"{found.python} -m ensurepip"
    assert second == f"{found.python} -m pip install 'xllamacpp>=2026.1'"


def test_pipx_is_told_to_inject(tmp_path: Path) -> None:
    found = installed(tmp_path / "symphony-workflows")
    (found.prefix / "pipx_metadata.json").write_text("{}", encoding="utf-8")
    assert found.adding("llama") == "pipx inject symphony-workflows 'xllamacpp>=2026.1'"


RECEIPT = """\
[tool]
requirements = [
    {{ name = "symphony-workflows", path = "{}" }},
    {{ name = "nats-py", specifier = ">=2.10" }},
    {{ name = "cowsay" }},
]
"""


def test_a_tool_of_uv_is_installed_again_with_all_that_was_added(tmp_path: Path) -> None:
    found = installed(tmp_path / "symphony-workflows", has_pip=False)
    wheel = tmp_path / "symphony_workflows-1.0.0-py3-none-any.whl"
    wheel.touch()
    (found.prefix / "uv-receipt.toml").write_text(RECEIPT.format(wheel), encoding="utf-8")
    assert found.adding("llama") == (
        f"uv tool install --with 'nats-py>=2.10' --with cowsay --with 'xllamacpp>=2026.1' {wheel}"
    )


@pytest.mark.parametrize(
    "receipt",
    [
        RECEIPT.format("/nowhere/symphony_workflows.whl"),
        '[tool]\nrequirements = [{ name = "symphony-workflows" }]\n',
        '[tool]\nrequirements = [{ name = "symphony-workflows", path = "/" }, { name = "a", path = "/" }]\n',
        "[tool]\nrequirements = 3\n",
        "no TOML",
    ],
)
def test_a_tool_of_uv_whose_source_is_gone_or_not_told_is_added_to_in_place(
    receipt: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = installed(tmp_path / "symphony-workflows", has_pip=False)
    (found.prefix / "uv-receipt.toml").write_text(receipt, encoding="utf-8")
    (tmp_path / "uv").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert found.adding("llama") == f"uv pip install --python {found.python} 'xllamacpp>=2026.1'"


@pytest.mark.parametrize("extra", EXTRAS)
def test_the_name_of_the_other_project_is_never_installed(extra: str) -> None:
    assert not re.search(
        r"\bsymphony(?!-workflows|_workflows)\b(\[|\s|'|$)", adding(extra).replace(str(ROOT), "")
    )
