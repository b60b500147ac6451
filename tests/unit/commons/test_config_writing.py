import tomllib
from pathlib import Path

import pytest

from symphony.commons.config_writing import add_section, remove_section
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


COMMENTED = """# of mine
[models.a]  # the first
provider = "openai"
# its limits
retries = 2

[models.a.price]
input = 1
note = ""

# about the second
[models."b.c"]
provider = "anthropic"
url = '''https://example.org/v1'''

[symphony]
concurrency = 3  # few
""".replace('note = ""\n', "")


def test_a_section_is_removed_with_what_is_inside_it_and_the_rest_stays_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(COMMENTED)
    remove_section(file, ("models", "a"))
    assert file.read_text() == "# of mine\n\n# about the second\n" + COMMENTED.partition("second\n")[2]
    remove_section(file, ("models", "b.c"))
    assert tomllib.loads(file.read_text()) == {"symphony": {"concurrency": 3}}


@pytest.mark.parametrize("models", ["[models.a]", '["models".a]', "[ models . 'a' ]", '\t[models."a"] # x'])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_header_is_found_however_it_is_spelled(tmp_path: Path, models: str, end: str) -> None:
    file = tmp_path / "config.toml"
    lines = ["[symphony]", "cache = true", "", models, 'provider = "openai"', "", "[logs]", "node_mb = 1", ""]
    file.write_bytes(end.join(lines).encode())
    remove_section(file, ("models", "a"))
    assert tomllib.loads(file.read_text()) == {"symphony": {"cache": True}, "logs": {"node_mb": 1}}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[symphony]\ncache = true\n", "there is no models.a"),
        ("[models.b]\nprovider = 'openai'\n", "there is no models.a"),
        ("models.a.provider = 'openai'\n", "could not be taken out"),
        ("[models]\na = {provider = 'openai'}\n", "could not be taken out"),
        ("[models]\na.provider = 'openai'\n", "could not be taken out"),
        ("[models.a]\nprovider = 'openai'\nmodel = '''\n[logs]\n'''\n", "could not be taken out"),
    ],
)
def test_a_section_that_cannot_be_removed_is_told_and_changes_nothing(
    tmp_path: Path, text: str, why: str
) -> None:
    file = tmp_path / "config.toml"
    file.write_text(text)
    with pytest.raises(ConfigInvalid, match=why):
        remove_section(file, ("models", "a"))
    assert file.read_text() == text
