"""Hints that spell what the author probably meant, where a value has the wrong kind. Pure."""

import json
import re
import shlex
from collections.abc import Collection, Iterable, Mapping
from typing import Final, get_args

from symphony.workflow.documents.tree import Tree
from symphony.workflow.model import ControlKind
from symphony.workflow.problems import did_you_mean

_BARE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_./@-]*")
_WORDS: Final = frozenset({"true", "false", "null"})
_DURATION: Final = re.compile(r"[0-9]+(?:ms|s|m|h|d)")
_OPERATOR: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)+(?:@[0-9.]+)?")
_FILE: Final = re.compile(r"\S+\.(?:ya?ml|toml|json|msgpack|bincode)")
_CROWDED: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_-]*):(?![\s/])")
_BACKOFFS: Final = ("constant", "linear", "exponential")
_OTHER_TOOLS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("run", "cmd", "cmds", "shell", "bash", "sh", "script", "exec"), "command"),
    **dict.fromkeys(("uses", "op", "task", "action", "function"), "operator"),
    **dict.fromkeys(("model", "agent", "llm"), "instrument"),
    **dict.fromkeys(("subworkflow", "sub_workflow", "flow"), "workflow"),
    **dict.fromkeys(("with", "args", "arguments", "params", "parameters"), "inputs"),
    **dict.fromkeys(("needs", "depends_on", "dependencies"), "after"),
    **dict.fromkeys(("if", "only_if"), "when"),
    **dict.fromkeys(("foreach", "with_items", "matrix"), "for_each"),
    **dict.fromkeys(("retries", "max_retries"), "retry"),
    **dict.fromkeys(("timeout_minutes", "timeout_seconds"), "timeout"),
}
"""Names that other tools use for the keys of a node."""
_CHARS_MAX: Final = 60
_NAME_CHARS_MAX: Final = 100
_LISTED_MAX: Final = 8
_ALIKE_LEAST: Final = 0.75
"""The least similarity of each dotted part of a name: `fitler` matches `filter` (0.83), `sort` not
`format` (0.6).
"""
_REFERENCE: Final = "docs/reference/workflow-files.md"
_OTHER_KINDS: Final = ("command", "workflow")
_SHELLS: Final = frozenset({"shell", "bash", "sh", "exec", "cmd", "subprocess", "process"})
_OWN_FILE: Final = "name the file that defines it under operators: [FILE.py], or give --operators FILE"

_EXAMPLES: Final[Mapping[str, str]] = {
    "retry": "{attempts: 3}",
    "artifact": "{name: report}",
    "budget": "{money: 0.50}",
    "on_finish": '{command: notify-send "$WORKFLOW: $STATUS"}',
    "inputs": "{NAME: value}",
    "config": "{NAME: value}",
    "metadata": "{NAME: value}",
    "outputs": '{NAME: "${{ NODE.PORT }}"}',
    "state": "{NAME: value}",
    "next": "{NAME: CEL}",
    "cases": "{CASE: value}",
    "value": "{PORT: value}",
    "nodes": "{NAME: {operator: NAME}}",
    "body": "{NAME: {operator: NAME}}",
}
"""An example of the map that each of these keys may have."""
_INSIDE: Final[Mapping[str, str]] = {
    "artifact": "name",
    "on_finish": "command",
    "inputs": "NAME",
    "config": "NAME",
    "metadata": "NAME",
    "outputs": "NAME",
    "state": "NAME",
    "next": "NAME",
    "value": "PORT",
}
"""The key of the map under which a single value belongs, if it was written in place of the map."""


def flow(value: Tree) -> str | None:
    """Return `value` as YAML spells it within `{ }`; None if it is not a scalar, or is long."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if not isinstance(value, str) or not value or len(value) > _CHARS_MAX or not value.isprintable():
        return None
    return value if _BARE.fullmatch(value) and value not in _WORDS else _quoted(value)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def map_hint(key: str | int, value: Tree) -> str:
    """Return how to write the map `key`, for which `value` was given."""
    given = flow(value)
    if (crowded := _crowded(value)) is not None:
        return crowded
    match key:
        case "retry":
            return f"write retry: {_retry(value, given)}"
        case "budget" if given is not None and isinstance(value, int) and not isinstance(value, bool):
            return f"write budget: {{money: {given}}}, {{tokens: {given}}} or {{calls: {given}}}"
        case "budget" if given is not None and isinstance(value, float):
            return f"write budget: {{money: {given}}}"
        case "cases" if isinstance(value, list) and value and all(map(_is_word, value)):
            return f"write cases: {{{', '.join(f'{one}: {one}' for one in value[:3])}}}"
        case "nodes" | "body" if isinstance(value, list):
            return f"write a map, each node after its name: {key}: {_EXAMPLES[key]}"
    if isinstance(key, int):
        return "write `key: value` pairs"
    if key in _INSIDE and given is not None:
        return f"write {key}: {{{_INSIDE[key]}: {given}}}"
    example = _EXAMPLES.get(key)
    return "write `key: value` pairs" if example is None else f"write {key}: {example}"


def _crowded(value: Tree) -> str | None:
    """Return the hint for a text that would be a map if a space followed its colon; None for any other."""
    found = _CROWDED.match(value) if isinstance(value, str) else None
    return None if found is None else f"put a space after `{found[1]}:`"


def _retry(value: Tree, given: str | None) -> str:
    if isinstance(value, str) and value in _BACKOFFS:
        return f"{{attempts: 3, backoff: {value}}}"
    if isinstance(value, str) and _DURATION.fullmatch(value):
        return f"{{attempts: 3, initial: {value}}}"
    whole = isinstance(value, int) and not isinstance(value, bool) and value > 0
    return f"{{attempts: {given}}}" if whole else _EXAMPLES["retry"]


def _is_word(value: Tree) -> bool:
    return isinstance(value, str) and _BARE.fullmatch(value) is not None and "." not in value


def list_hint(key: str | int, value: Tree) -> str:
    """Return how to write the list of texts `key`, for which `value` was given."""
    given = flow(value) if isinstance(value, str) else None
    return f"write {key}: [{given or 'a, b'}]"


def node_hint(name: str, value: Tree) -> str:
    """Return how to write the node `name`, for which `value` was given in place of a map."""
    given = flow(value) if isinstance(value, str) else None
    if (crowded := _crowded(value)) is not None:
        return crowded
    if given is None or not isinstance(value, str):
        return "write {operator: NAME, …}"
    if _FILE.fullmatch(value):
        return f"write {name}: {{workflow: {given}}}"
    if _OPERATOR.fullmatch(value):
        return f"write {name}: {{operator: {given}}}"
    if " " in value.strip():
        return f"write {name}: {{command: {given}}}"
    return f"write {name}: {{operator: {given}}}, or {{command: {given}}}"


def input_hint(name: str, value: Tree, types: Collection[str]) -> str:
    """Return how to write the input `name` of a workflow, for which `value` was given in place of a map."""
    given = flow(value)
    if isinstance(value, str) and value.rstrip("?").partition("[")[0] in types:
        return f"write {name}: {{type: {given if given == value else _quoted(value)}}}"
    if value is None:
        return f"write {name}: {{type: string}}, or {name}: {{}} for a value of any type"
    return f"write {name}: {{default: {given or 'value'}}}"


def operator_hint(name: str, versions: Mapping[str, str], defining: str | None = None) -> str:
    """Return what to write in place of the operator `name`; `versions` holds those of the known operators.

    `defining` is the file beside the workflow that defines it.
    """
    plain = name.partition("@")[0]
    if defining is not None:
        return f"{defining} defines {plain}: add it at the top of the workflow, operators: [{defining}]"
    if plain in versions:
        return f"write {plain}, or {plain}@{versions[plain]}"
    if (kind := kind_hint(plain)) is not None:
        return kind
    near, kin = near_operator(plain, versions), kin_of(plain, versions)
    if near is not None:
        return f"did you mean {near}?" + (
            "" if kin or near == plain.rpartition(".")[2] else f" For one of your own, {_OWN_FILE}"
        )
    if kin:
        return f"there are {kin}; {_OWN_FILE}"
    return f"{_OWN_FILE}; symphony operators list shows those that there are"


def kind_hint(name: str) -> str | None:
    """Return how to write the node that `name` means, where that is a kind of node and not an operator."""
    if name in get_args(ControlKind):
        return f"{name} is a control: write control: {name}; see {_REFERENCE}#{name}"
    if name in _OTHER_KINDS:
        return f"{name} is a kind of node: write {name}: in place of operator:; see {_REFERENCE}#{name}"
    if name.partition(".")[0] in _SHELLS:
        return f"a command of the shell is a node with command:; see {_REFERENCE}#command"
    return None


def kin_of(name: str, known: Iterable[str]) -> str:
    """Return the first operators of the family of `name`, as a list in words; empty if it has none."""
    family = name.rpartition(".")[0]
    kin = [other for other in known if other.rpartition(".")[0] == family] if family else []
    return ", ".join(kin[:_LISTED_MAX]) + (", …" if len(kin) > _LISTED_MAX else "")


def near_operator(name: str, known: Collection[str]) -> str | None:
    """Return the operator that `name` misspells, or that lacks only the part before its dot; None if
    there is none.
    """
    from difflib import SequenceMatcher

    if "." not in name:
        same = [other for other in known if other.rpartition(".")[2] == name]
        if len(same) == 1:
            return same[0]
    own = [other for other in known if other == name.rpartition(".")[2]]
    if own:  # the author's own function, without a family
        return own[0]
    parts = name[:_NAME_CHARS_MAX].split(".")
    best: tuple[float, str] | None = None
    for other in known:
        others = other.split(".")
        if len(others) != len(parts):
            continue
        alike = [SequenceMatcher(None, *pair).ratio() for pair in zip(parts, others, strict=True)]
        if min(alike) >= _ALIKE_LEAST and (best is None or (sum(alike), other) > best):
            best = sum(alike), other
    return None if best is None else best[1]


def key_hint(key: str, keys: Collection[str], otherwise: str) -> str:
    """Return a hint with the one of `keys` that was probably meant by the unknown `key`, or else
    `otherwise`.
    """
    meant = _OTHER_TOOLS.get(key.casefold().replace("-", "_"), key.casefold())
    return f"did you mean {meant}?" if meant in keys else did_you_mean(key, keys, otherwise)


def meant_kind(keys: Iterable[str], kinds: Collection[str]) -> str | None:
    """Return the first of the unknown `keys` that was meant as one of `kinds`; None if none was."""
    return next((key for key in keys if key_hint(key, kinds, "")), None)


def env_hint(kind: str) -> str:
    """Return what to write in place of the unknown key `env` of a node of this kind."""
    if kind == "command":
        return "give the command `inputs:`; they arrive as environment variables"
    return "list the variables under `env:` of the workflow, and give them as inputs: ${{ env.NAME }}"


def command_hint(value: Tree) -> str:
    """Return how to write the text of a command, for which `value` was given."""
    if isinstance(value, list) and value and all(isinstance(one, str | int | float) for one in value):
        text = " ".join(shlex.quote(str(one)) for one in value)
        if len(text) <= _CHARS_MAX and text.isprintable():
            return f"write one text: {text}"
        return "write one text, as in a shell"
    return "put it in quotes" if not isinstance(value, list | dict) else "write one text, as in a shell"


def step_hint(value: Tree) -> str:
    """Return how to write a step, for which `value` was given in place of a map."""
    given = flow(value) if isinstance(value, str) else None
    return f"write {{name: NAME, command: {given or '…'}}}"


def edge_hint(value: Tree) -> str:
    """Return how to write an edge, for which `value` was given in place of a map."""
    ends = re.split(r"\s*->\s*", value) if isinstance(value, str) else []
    if len(ends) == 2 and all(map(_BARE.fullmatch, ends)):
        return f"write {{from: {ends[0]}, to: {ends[1]}}}"
    return "write {from: a.port, to: b.input}"
