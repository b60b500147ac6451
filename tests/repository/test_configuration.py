"""The page on configuration and the settings that exist are one."""

import re
import tomllib
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import get_args, get_origin, get_type_hints

import msgspec

from symphony.commons.config import check_settings
from symphony.commons.settings import Config

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "configuration.md"


def settings(kind: type[msgspec.Struct] = Config, path: str = "") -> Iterator[tuple[str, str, object]]:
    """(section, key, default) of every setting; names that people choose stand as ID."""
    hints = get_type_hints(kind)
    for field in msgspec.structs.fields(kind):
        hint = hints[field.name]
        place = f"{path}.{field.name}".lstrip(".")
        found = (one for one in (hint, *get_args(hint)) if isinstance(one, type))
        below = next((one for one in found if issubclass(one, msgspec.Struct)), None)
        if below is not None:
            yield from settings(below, f"{place}.ID" if get_origin(hint) is dict else place)
        else:
            yield path, field.name, field.default


def documented() -> Iterator[tuple[str, str, str]]:
    """(section, key, default as it is said) of every row on the page."""
    section = ""
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            heading = re.fullmatch(r"## `\[(.+)\]`", line)
            section = heading[1] if heading else ""
        elif section and (row := re.match(r"\| `(\w+)` \|.*\| ([^|]*)\|$", line)):
            yield section, row[1], row[2].strip(" `")


def test_every_setting_is_documented_and_every_documented_setting_exists() -> None:
    assert sorted(one[:2] for one in documented()) == sorted(one[:2] for one in settings())


def test_the_defaults_on_the_page_are_the_defaults() -> None:
    said = {one[:2]: one[2] for one in documented()}
    wrong = [
        (section, key, default)
        for section, key, default in settings()
        if isinstance(default, bool | int | float | str | Decimal) and said[section, key] != spelled(default)
    ]
    assert wrong == []


def spelled(default: bool | float | str | Decimal) -> str:
    return str(default).lower() if isinstance(default, bool) else str(default).removesuffix(".0")


def test_the_examples_on_the_page_are_valid() -> None:
    found = re.findall(r"^```toml\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert found
    for text in found:
        assert check_settings(Config, text, str(PAGE), whole=True) == tomllib.loads(text)
