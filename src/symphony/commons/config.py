"""Settings in layers: each layer is checked on its own, so that an error names its source.

Lowest first: the defaults of the types, `default.toml`, the environment's file (`production.toml`
or the one that SYMPHONY_ENV names), the home's `config.toml`, and SYMPHONY__SECTION__KEY
variables. An error names file or variable and key, and never repeats a value: it may be a secret.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from types import NoneType, UnionType
from typing import Final, Literal, TypeAlias, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

from symphony.commons.errors import ConfigInvalid, IoFailed, SymphonyError
from symphony.commons.filesystem import read_text_bounded
from symphony.commons.retention import RetentionRules, TierRules, read_rules, read_tier_rules
from symphony.commons.secrets import Secret
from symphony.commons.settings import Config

VARIABLE_PREFIX: Final = "SYMPHONY__"
ENVIRONMENT_VARIABLE: Final = "SYMPHONY_ENV"
FOLDER_VARIABLE: Final = "SYMPHONY_CONFIG_DIR"
ENVIRONMENT_DEFAULT: Final = "production"
_FILE_BYTES_MAX = 1 << 20
_ENVIRONMENT = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")

S = TypeVar("S", bound=msgspec.Struct)
Tree: TypeAlias = dict[str, object]
Place: TypeAlias = tuple[str, ...]


def load_config(
    folder: Path | None = None, *, home: Path | None = None, variables: Mapping[str, str] | None = None
) -> Config:
    """Load Symphony's settings. Raises ConfigInvalid; IoFailed if a file cannot be read.

    `folder` holds `default.toml` and the environments' files; without it SYMPHONY_CONFIG_DIR names it.
    No file must exist, except that of an environment which SYMPHONY_ENV names. `variables` is
    `os.environ` unless given.
    """
    given = os.environ if variables is None else variables
    if folder is None and given.get(FOLDER_VARIABLE):
        folder = Path(given[FOLDER_VARIABLE])
    files = [] if folder is None else list(_folder_files(folder, given))
    if home is not None:
        files.append(home / "config.toml")
    return load_settings(Config, files=files, variables=given)


def _folder_files(folder: Path, variables: Mapping[str, str]) -> Iterator[Path]:
    chosen = variables.get(ENVIRONMENT_VARIABLE)
    environment = chosen or ENVIRONMENT_DEFAULT
    if not _ENVIRONMENT.fullmatch(environment):
        raise ConfigInvalid(
            f"{ENVIRONMENT_VARIABLE} is not the name of an environment",
            hint="lower-case letters, digits, - and _: for instance production",
        )
    yield folder / "default.toml"
    file = folder / f"{environment}.toml"
    if chosen and not file.is_file():
        raise ConfigInvalid(
            f"{ENVIRONMENT_VARIABLE} asks for {environment}, but there is no file {file}",
            details={"path": str(file)},
            hint=f"write that file, or unset {ENVIRONMENT_VARIABLE}",
        )
    yield file


def load_settings(
    kind: type[S], *, files: Sequence[Path] = (), variables: Mapping[str, str] | None = None
) -> S:
    """Return `kind` from TOML files, later ones over earlier ones, and variables over all.

    Files that do not exist are left out. Fields that are structs are sections; a variable is
    `SYMPHONY__SECTION__KEY`, text unchanged, other types as in `5`, `true` or JSON for lists and maps;
    an empty variable counts as unset. Raises ConfigInvalid or IoFailed.
    """
    merged: Tree = {}
    for file in files:
        _merge(merged, check_settings(kind, read_settings_text(file), str(file)))
    for name in sorted(variables or ()):
        if name.upper().startswith(VARIABLE_PREFIX):
            _merge(merged, _of_variable(kind, name, (variables or {})[name]))
    return _made(kind, merged)


def read_settings_text(file: Path) -> str:
    """Return the text of a settings file, empty if there is none. Raises IoFailed."""
    try:
        return read_text_bounded(file, _FILE_BYTES_MAX)
    except IoFailed as error:
        if isinstance(error.__cause__, FileNotFoundError | NotADirectoryError):
            return ""
        raise


def check_settings(kind: type[S], text: str, source: str, *, whole: bool = False) -> Tree:
    """Return what TOML text sets, each value checked against its field of `kind`; `whole`: it stands alone.

    Raises ConfigInvalid, naming `source`.
    """
    tree = _checked(kind, _parsed(text, source), source, ())
    if whole:
        _made(kind, tree)
    return tree


def _made(kind: type[S], tree: Tree) -> S:
    try:
        return msgspec.convert(tree, kind, dec_hook=_as_setting)
    except msgspec.ValidationError as error:
        raise ConfigInvalid(f"the settings do not go together: {_without_value(error)}") from None


def _parsed(text: str, source: str) -> Tree:
    if not text:
        return {}
    import tomllib  # few homes have a settings file

    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        # Only the place: the rest of the message may quote the value.
        place = re.search(r"line \d+, column \d+", str(error))
        raise ConfigInvalid(
            f"{source} is not TOML: look at {place[0] if place else 'its end'}", details={"path": source}
        ) from None
    except RecursionError:
        raise ConfigInvalid(f"{source} is nested too deeply", details={"path": source}) from None


def _checked(kind: object, tree: Mapping[str, object], source: str, path: Place) -> Tree:
    """Return what `tree` sets, each value checked against its field. Raises ConfigInvalid."""
    result: Tree = {}
    for key, value in tree.items():
        place = (*path, key)
        below = _member(kind, key)
        if below is None:
            raise _unknown(source, place, _fields(kind))
        if not _is_section(below):
            result[key] = _converted(value, below, source, place)
        elif isinstance(value, dict):
            result[key] = _checked(below, value, source, place)
        else:
            raise _wrong(source, place, f"expected the section [{'.'.join(place)}]")
    return result


def _of_variable(kind: type[msgspec.Struct], name: str, text: str) -> Tree:
    path = tuple(name[len(VARIABLE_PREFIX) :].lower().split("__"))
    here: object = kind
    for depth, part in enumerate(path, start=1):
        if not _is_section(here):
            raise _unknown(name, path, {})
        below = _member(here, part)
        if below is None:
            raise _unknown(name, path[:depth], _fields(here))
        here = below
    if _is_section(here):
        raise _wrong(name, path, "expected a key inside this section", hint=f"such as {name}__KEY")
    if not text:
        return {}
    tree: Tree = {path[-1]: _from_text(text, here, name, path)}
    for part in reversed(path[:-1]):
        tree = {part: tree}
    return tree


def _from_text(text: str, kind: object, source: str, place: Place) -> object:
    if text[0] in "[{":
        try:
            return _converted(msgspec.json.decode(text), kind, source, place)
        except (msgspec.DecodeError, RecursionError):
            pass  # then it is text that only begins like this
    return _converted(text, kind, source, place, strict=False)


def _converted(value: object, kind: object, source: str, place: Place, *, strict: bool = True) -> object:
    """Return `value` as a builtin again, so that layers merge as trees. Raises ConfigInvalid."""
    try:
        found: object = msgspec.convert(value, type=kind, strict=strict, dec_hook=_as_setting)
    except msgspec.ValidationError as error:
        choices = _choices(kind)
        described = f"one of {', '.join(choices)}" if choices else _description(kind)
        why = f"expected {described}" if described else _without_value(error)
        raise _wrong(source, place, why) from None
    if isinstance(found, Decimal) and not (found.is_finite() and found >= 0):
        raise _wrong(source, place, "expected an amount of 0 or more")
    return (
        value
        if strict or isinstance(found, Secret | RetentionRules | TierRules)
        else msgspec.to_builtins(found)
    )


def _as_setting(kind: type, value: object) -> object:
    if kind is RetentionRules:
        return value if isinstance(value, RetentionRules) else read_rules(value)
    if kind is TierRules:
        return value if isinstance(value, TierRules) else read_tier_rules(value)
    if kind is not Secret:
        raise TypeError(f"settings cannot hold {kind.__name__}")
    if isinstance(value, Secret):
        return value
    if not isinstance(value, str):
        raise ValueError("Expected `str`")
    return Secret(value)


def _choices(kind: object) -> list[str]:
    """Return what a `Literal`, or one that may be null, allows."""
    if get_origin(kind) in (Union, UnionType):
        return [choice for one in get_args(kind) for choice in _choices(one)]
    return [str(choice) for choice in get_args(kind)] if get_origin(kind) is Literal else []


def _description(kind: object) -> str | None:
    """Return how a type describes its texts, if it does."""
    if get_origin(kind) in (Union, UnionType):
        return next(filter(None, map(_description, get_args(kind))), None)
    metadata = getattr(kind, "__metadata__", ())
    return next((one.description for one in metadata if isinstance(one, msgspec.Meta)), None)


def _without_value(error: msgspec.ValidationError) -> str:
    """Return msgspec's message, unless it quotes the value."""
    said = str(error)
    if said.startswith("Expected "):
        return "expected" + said[len("Expected") :].split(" - at ")[0].replace("`", "")
    return "it is not one of the values that are allowed" if said.startswith("Invalid") else said


def _fields(kind: object) -> dict[str, object]:
    """Return the keys of a section with their types; none for a section whose keys are anybody's."""
    section = _struct(kind)
    if section is None:
        return {}
    hints = get_type_hints(section, include_extras=True)
    return {name: hints[name] for name in section.__struct_fields__}


def _member(kind: object, key: str) -> object | None:
    """Return the type below `key` in a section; None if it has no such key."""
    entry = _entry(kind)
    return entry if entry is not None else _fields(kind).get(key)


def _is_section(kind: object) -> bool:
    return _struct(kind) is not None or _entry(kind) is not None


def _struct(kind: object) -> type[msgspec.Struct] | None:
    """Return the struct that `kind` is, or is if it is set at all."""
    if get_origin(kind) in (Union, UnionType):
        others = [one for one in get_args(kind) if one is not NoneType]
        kind = others[0] if len(others) == 1 else kind
    return kind if isinstance(kind, type) and issubclass(kind, msgspec.Struct) else None


def _entry(kind: object) -> type[msgspec.Struct] | None:
    """Return the struct below each name in a map of structs."""
    return _struct(get_args(kind)[1]) if get_origin(kind) is dict else None


def _merge(below: Tree, above: Mapping[str, object]) -> None:
    for key, value in above.items():
        under = below.get(key)
        if isinstance(under, dict) and isinstance(value, dict):
            _merge(under, value)
        else:
            below[key] = value


def _unknown(source: str, place: Place, known: Mapping[str, object]) -> SymphonyError:
    import difflib  # imported only for an error

    near = difflib.get_close_matches(place[-1], known, n=1)
    hint = f"did you mean {near[0]}?" if near else f"known here: {', '.join(known) or 'nothing'}"
    key = ".".join(place)
    return ConfigInvalid(f"{source}: unknown key {key}", details={"source": source, "key": key}, hint=hint)


def _wrong(source: str, place: Place, why: str, *, hint: str | None = None) -> SymphonyError:
    key = ".".join(place)
    return ConfigInvalid(f"{source}: {key}: {why}", details={"source": source, "key": key}, hint=hint)
