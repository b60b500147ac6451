from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from symphony.commons.config import load_config, load_settings
from symphony.commons.errors import ConfigInvalid, IoFailed
from symphony.commons.secrets import Secret
from symphony.commons.settings import Config, ModelConfig, Price, Settings


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / f"{name}.toml").write_text(text)
    return folder


def test_without_any_source_the_defaults_hold(tmp_path: Path) -> None:
    assert load_config(tmp_path, home=tmp_path, variables={}) == Config()


def test_each_layer_wins_over_those_below(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    write(
        tmp_path,
        default='[symphony]\nconcurrency = 1\n[logging]\nlevel = "debug"\nfile = "d"\nfile_backups = 9',
        production='[symphony]\nconcurrency = 2\n[logging]\nlevel = "info"\nfile = "p"',
    )
    write(home, config='[symphony]\nconcurrency = 3\n[logging]\nlevel = "warning"')
    config = load_config(tmp_path, home=home, variables={"SYMPHONY__SYMPHONY__CONCURRENCY": "4"})
    assert config.symphony.concurrency == 4
    assert config.logging.level == "warning"
    assert config.logging.file == "p"
    assert config.logging.file_backups == 9


def test_the_chosen_environment_takes_the_place_of_production(tmp_path: Path) -> None:
    write(tmp_path, production="[symphony]\nconcurrency = 2", staging="[symphony]\ncache = false")
    variables = {"SYMPHONY_ENV": "staging", "SYMPHONY_CONFIG_DIR": str(tmp_path)}
    config = load_config(variables=variables).symphony
    assert (config.concurrency, config.cache) == (None, False)


@pytest.mark.parametrize("environment", ["gone", "../production", "A B"])
def test_an_environment_without_a_file_is_an_error(tmp_path: Path, environment: str) -> None:
    write(tmp_path, production="")
    with pytest.raises(ConfigInvalid, match="SYMPHONY_ENV"):
        load_config(tmp_path, variables={"SYMPHONY_ENV": environment})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[loging]\nlevel = 'info'", "unknown key loging"),
        ("[logging]\nlvl = 'info'", r"unknown key logging\.lvl"),
        ("logging = 3", r"logging: expected the section \[logging\]"),
        ("[logging]\nlevel = 'hunter2'", r"logging\.level: expected one of debug, info, warning, error"),
        ("[symphony]\nconcurrency = 'hunter2'", r"symphony\.concurrency: expected int \| null, got str"),
        ("[symphony]\nconcurrency = 0", r"symphony\.concurrency: expected int >= 1"),
        ("[symphony]\ncache = 1", r"symphony\.cache: expected bool, got int"),
        ("[database]\nurl = ['hunter2']", r"database\.url: expected str"),
        ("[database]\nurl = 'hunter2", "is not TOML: look at"),
        ("[database]\n'hunter2' 3", "is not TOML: look at line 2"),
        ("[a" * 50_000, "is not TOML: look at line 1, column 3"),
        ("a = " + "[" * 50_000, "nested too deeply|is not TOML"),
    ],
)
def test_a_wrong_file_is_named_with_its_key_and_the_value_is_not_repeated(
    tmp_path: Path, text: str, said: str
) -> None:
    write(tmp_path, production=text)
    with pytest.raises(ConfigInvalid, match=f"production.toml.*({said})") as caught:
        load_config(tmp_path, variables={})
    assert "hunter2" not in repr(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("SYMPHONY__LOGGING", "x", "logging: expected a key inside this section"),
        ("SYMPHONY__LOGIN__LEVEL", "x", "unknown key login"),
        ("SYMPHONY__LOGGING__LVL", "x", r"unknown key logging\.lvl"),
        ("SYMPHONY__LOGGING__LVL", "", r"unknown key logging\.lvl"),
        ("SYMPHONY__LOGGING__LEVEL__X", "1", r"unknown key logging\.level\.x"),
        ("SYMPHONY__", "1", "unknown key"),
        ("SYMPHONY__LOGGING__FILE_BYTES_MAX", "hunter2", "expected int, got str"),
        ("SYMPHONY__SYMPHONY__CACHE", "hunter2", "expected bool, got str"),
    ],
)
def test_a_wrong_variable_is_named_and_its_value_is_not_repeated(name: str, value: str, said: str) -> None:
    with pytest.raises(ConfigInvalid, match=f"^{name}: .*{said}") as caught:
        load_config(variables={name: value})
    assert "hunter2" not in repr(caught.value)


def test_a_misspelled_key_gets_a_suggestion() -> None:
    with pytest.raises(ConfigInvalid) as caught:
        load_config(variables={"SYMPHONY__LOGGING__LEVL": "info"})
    assert caught.value.hint == "did you mean level?"


def test_a_variable_is_read_as_its_field_says_and_an_empty_one_counts_as_unset() -> None:
    variables = {
        "SYMPHONY__LOGGING__FILE": "123",
        "SYMPHONY__LOGGING__FILE_BACKUPS": "7",
        "SYMPHONY__SYMPHONY__CACHE": "false",
        "SYMPHONY__DATABASE__URL": "[not json",
        "SYMPHONY__LOGGING__LEVEL": "",
        "SYMPHONY_OTHER": "not ours to judge",
    }
    config = load_config(variables=variables)
    assert (config.logging.file, config.logging.file_backups, config.logging.level) == ("123", 7, "warning")
    assert config.symphony.cache is False
    assert config.database.url == Secret("[not json")


def test_a_secret_setting_is_not_shown() -> None:
    config = load_config(variables={"SYMPHONY__DATABASE__URL": "postgres://u:hunter2@host"})
    assert "hunter2" not in repr(config) + str(config.database.url)
    assert config.database.url is not None
    assert config.database.url.reveal() == "postgres://u:hunter2@host"


class Deep(Settings, frozen=True, kw_only=True):
    names: tuple[str, ...] = ()
    limits: dict[str, int] = {}


class Own(Settings, frozen=True, kw_only=True):
    deep: Deep = Deep()

    def __post_init__(self) -> None:
        if len(self.deep.names) > 2:
            raise ValueError("at most two names")


def test_any_typed_settings_can_be_loaded_with_lists_and_maps_as_json(tmp_path: Path) -> None:
    write(tmp_path, a='[deep]\nnames = ["x"]\n[deep.limits]\ncpu = 1')
    variables = {"SYMPHONY__DEEP__NAMES": '["y", "z"]', "SYMPHONY__DEEP__LIMITS": '{"gpu": 2}'}
    own = load_settings(Own, files=[tmp_path / "a.toml", tmp_path / "missing.toml"], variables=variables)
    assert own.deep == Deep(names=("y", "z"), limits={"cpu": 1, "gpu": 2})


def test_settings_that_do_not_go_together_are_an_error() -> None:
    with pytest.raises(ConfigInvalid, match="at most two names"):
        load_settings(Own, variables={"SYMPHONY__DEEP__NAMES": '["a", "b", "c"]'})


def test_a_file_that_is_not_readable_text_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "production.toml").write_bytes(b"\xff")
    with pytest.raises(IoFailed, match=r"production\.toml"):
        load_config(tmp_path, variables={})
    (tmp_path / "default.toml").mkdir()
    with pytest.raises(IoFailed, match=r"default\.toml"):
        load_config(tmp_path, variables={})


@given(st.text(max_size=200))
def test_whatever_a_file_holds_the_answer_is_settings_or_an_error_of_ours(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    file = tmp_path_factory.getbasetemp() / "any.toml"
    file.write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        assert isinstance(load_settings(Config, files=[file]), msgspec.Struct)
    except (ConfigInvalid, IoFailed) as error:
        assert "any.toml" in error.message


MODELS = """
[models."gpt-4.1"]
provider = "openai"
key = "OPENAI_API_KEY"
[models."gpt-4.1".price]
input = 0.15
output = "0.60"
"""


def test_models_are_sections_by_id_and_their_prices_are_exact(tmp_path: Path) -> None:
    write(tmp_path, production=MODELS)
    write(tmp_path, config='[models."gpt-4.1"]\nmax_tokens = 50')
    found = load_config(tmp_path, home=tmp_path, variables={}).models["gpt-4.1"]
    assert (found.key, found.max_tokens) == ("OPENAI_API_KEY", 50)
    assert found.price == Price(input=Decimal("0.15"), output=Decimal("0.60"))


def test_a_key_of_a_model_can_be_set_by_a_variable(tmp_path: Path) -> None:
    write(tmp_path, config='[models.local]\nprovider = "openai"')
    variables = {"SYMPHONY__MODELS__LOCAL__URL": "http://127.0.0.1:8080/v1"}
    found = load_config(home=tmp_path, variables=variables).models["local"]
    assert found == ModelConfig(provider="openai", url="http://127.0.0.1:8080/v1")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[models]\nx = 1", r"production.toml: models\.x: expected the section \[models\.x\]"),
        ("[models.x]\nurll = 'u'", r"production.toml: unknown key models\.x\.urll"),
        ("[models.x]\nprovider = 'acme'", r"models\.x\.provider: expected one of openai"),
        ("[models.x]\nprovider = 'openai'\nconcurrency = 0", r"models\.x\.concurrency: expected int >= 1"),
        ("[models.x]\nprice = 5", r"models\.x\.price: expected the section"),
        ("[models.x.price]\ninput = -1", r"models\.x\.price\.input: expected an amount of 0 or more"),
        ("[models.x.price]\ninput = nan", r"models\.x\.price\.input: expected an amount"),
        ("[budget]\nmoney = 'hunter2'", r"budget\.money: "),
        ("[models.x]\nkind = 'chat'", r"models\.x: provider is missing"),
        ("[models.x]\nprovider = 'openai'\nkey = 'sk-hunter2'", r"models\.x: key must be the name"),
        ("[models.x]\nprovider = 'openai'\nurl = 'ftp://a'", r"models\.x: url must be https"),
        ("[models.x]\nprovider = 'openai'\nurl = 'https://u:hunter2@a'", r"models\.x: url must be https"),
        ("[models.x]\nprovider = 'openai'\nurl = 'http://a.example'\nkey = 'K'", r"the key would travel"),
        ("[models.x]\nprovider = 'anthropic'\nkind = 'embedding'", "has no embeddings"),
        ("[models.x]\nprovider = 'llama'", "needs file"),
        ("[models.x]\nprovider = 'openai'\nfile = 'a.gguf'", "file is for provider llama only"),
        ("[models.'a@b']\nprovider = 'openai'", "a model's id is letters"),
        ("[budget]\ncurrency = 'euro'", "three capital letters"),
    ],
)
def test_a_wrong_model_is_named_with_its_key_and_the_value_is_not_repeated(
    tmp_path: Path, text: str, said: str
) -> None:
    write(tmp_path, production=text)
    with pytest.raises(ConfigInvalid, match=said) as caught:
        load_config(tmp_path, variables={})
    assert "hunter2" not in repr(caught.value)


def test_the_passphrase_of_the_artifacts_is_a_secret_also_while_encryption_is_off() -> None:
    assert load_config(variables={}).key_names == {"SYMPHONY_PASSPHRASE"}
    assert load_config(variables={"SYMPHONY__ENCRYPTION__PASSPHRASE": "MINE"}).key_names == {"MINE"}
    assert load_config(variables={"SYMPHONY__ENCRYPTION__KEY_FILE": "/key"}).key_names == frozenset()


@pytest.mark.parametrize(
    "variables",
    [
        {"SYMPHONY__ENCRYPTION__PASSPHRASE": "a passphrase"},
        {"SYMPHONY__ENCRYPTION__KEY_FILE": "/key", "SYMPHONY__ENCRYPTION__KEY_COMMAND": '["pass"]'},
    ],
)
def test_settings_of_encryption_that_cannot_be_are_refused_without_their_values(
    variables: dict[str, str],
) -> None:
    with pytest.raises(ConfigInvalid) as raised:
        load_config(variables=variables)
    assert "a passphrase" not in str(raised.value)
