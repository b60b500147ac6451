"""Which implementation an address gets."""

from pathlib import Path

import msgspec
import pytest

from symphony.app import object_storage
from symphony.app.object_storage import outside_places, storage_at
from symphony.commons.config import load_config
from symphony.commons.errors import ConfigInvalid, ValidationFailed
from symphony.commons.settings import ArtifactsConfig, Config
from symphony.pit.artifacts.places.directory import DirectoryStorage
from symphony.ports.object_storage import StorageRefused


def test_a_path_is_a_directory_and_s3_a_bucket(tmp_path: Path) -> None:
    assert isinstance(storage_at(str(tmp_path), Config(), {}), DirectoryStorage)
    found = storage_at("s3://bucket/some/prefix/", Config(), {})
    assert found.address == "s3://bucket/some/prefix"


def test_a_typo_is_an_error() -> None:
    with pytest.raises(ValidationFailed):
        storage_at("s4://bucket", Config(), {})


def test_without_the_library_the_hint_says_how_to_add_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(object_storage, "find_spec", lambda name: None)
    with pytest.raises(StorageRefused, match="s3://bucket is a bucket, and the library") as caught:
        storage_at("s3://bucket", Config(), {})
    assert "objects" in (caught.value.hint or "") or "obstore" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("ENDPOINT", "127.0.0.1:9000"),
        ("ENDPOINT", "https://key:secret@host"),
        ("ENDPOINT", "ftp://host"),
        ("ACCESS_KEY_ID", "alone"),
        ("TIMEOUT", "0"),
    ],
)
def test_settings_that_cannot_be_right_are_refused(variable: str, value: str) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        load_config(variables={f"SYMPHONY__OBJECT_STORAGE__{variable}": value})
    assert value not in str(caught.value) or value == "0"


@pytest.mark.parametrize("key", ["artifacts.store", "tiers.cold"])
@pytest.mark.parametrize("inside", ["", "artifacts", "artifacts/packs", "../linked/artifacts", "archive"])
def test_a_place_in_the_home_is_refused_whatever_leads_there(tmp_path: Path, key: str, inside: str) -> None:
    home = tmp_path / "home"
    (home / "artifacts" / "packs").mkdir(parents=True)
    (tmp_path / "linked").symlink_to(home, target_is_directory=True)
    section, _, name = key.partition(".")
    config = msgspec.convert({section: {name: str(home / inside)}}, Config)
    with pytest.raises(ConfigInvalid, match=key) as caught:
        outside_places(config, {}, home)
    assert "in the home" in caught.value.message
    assert "outside of the home" in str(caught.value.hint)


def test_a_place_beside_the_home_is_taken(tmp_path: Path) -> None:
    config = Config(artifacts=ArtifactsConfig(store=str(tmp_path / "home-packs")))
    assert outside_places(config, {}, tmp_path / "home").address == str(tmp_path / "home-packs")


def test_the_artifacts_of_another_home_are_no_place_for_packs(tmp_path: Path) -> None:
    other = tmp_path / "other" / "artifacts"
    other.mkdir(parents=True)
    (other / "records.log").touch()
    config = Config(artifacts=ArtifactsConfig(store=str(other)))
    with pytest.raises(ConfigInvalid, match=r"artifacts\.store: .* another home"):
        outside_places(config, {}, tmp_path / "home")
