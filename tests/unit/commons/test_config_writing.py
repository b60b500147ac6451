import tomllib
from pathlib import Path

import pytest

from symphony.commons.config_writing import add_section
from symphony.commons.errors import ConfigInvalid, SymphonyError

WRITTEN = "# mine\n[symphony]\nconcurrency = 3  # few\n"
OPENAI = {"provider": "openai", "price": {"input": "0.15"}}


def test_a_section_is_added_and_what_was_there_stays(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(WRITTEN)
    add_section(file, ("models", "gpt-4.1"), OPENAI)
    text = file.read_text()
    assert text.startswith(WRITTEN)
    assert tomllib.loads(text)["models"] == {"gpt-4.1": OPENAI}


def test_a_file_that_is_not_there_is_made_for_its_owner_only(tmp_path: Path) -> None:
    file = tmp_path / "home" / "config.toml"
    add_section(file, ("models", "a"), OPENAI)
    add_section(file, ("models", "b"), OPENAI)
    assert list(tomllib.loads(file.read_text())["models"]) == ["a", "b"]
    assert file.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("before", "values", "why"),
    [
        ('[models.a]\nprovider = "openai"\n', OPENAI, "is there already"),
        ("", {"provider": "acme"}, "provider: expected one of"),
        ("", {"provider": "openai", "key": "sk-1"}, "must be the name of an environment variable"),
        ("models = {}", OPENAI, "is not TOML"),
        ("colour = 5", OPENAI, "unknown key colour"),
        ("[", OPENAI, "is not TOML"),
    ],
)
def test_what_would_not_be_valid_changes_nothing(
    tmp_path: Path, before: str, values: dict[str, object], why: str
) -> None:
    file = tmp_path / "config.toml"
    file.write_text(before)
    with pytest.raises(ConfigInvalid, match=why):
        add_section(file, ("models", "a"), values)
    assert file.read_text() == before
    assert {path.name for path in tmp_path.iterdir()} <= {"config.toml", ".config.toml.lock"}


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SymphonyError):
        add_section(tmp_path / "file" / "config.toml", ("models", "a"), OPENAI)
