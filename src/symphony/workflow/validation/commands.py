"""Checks of commands: their text, and the variables that their inputs become. Pure.

Refused are the names by which the shell and the loader find programs, split words and run other
code first; for names that some programs take another meaning from there is a warning.
"""

import re
from collections.abc import Collection, Iterator
from typing import Final

from symphony.commons.environment import is_plain, is_vital, variable_of
from symphony.workflow.expressions import BadExpression, split
from symphony.workflow.model import CommandNode, DataEdge
from symphony.workflow.problems import child
from symphony.workflow.types import ANY
from symphony.workflow.validation.level import Level
from symphony.workflow.validation.scope import Scope

_HARMFUL: Final = {
    "BASHOPTS": "bash takes its options from it",
    "PS4": "the shell evaluates it for each line that `set -x` shows",
    "CDPATH": "cd looks for folders in it",
    "GLOBIGNORE": "bash leaves out files that match it",
    "PROMPT_COMMAND": "bash runs it before each prompt",
    "OLDPWD": "`cd -` goes there",
    "POSIXLY_CORRECT": "programs change their behaviour where it is set",
    "GCONV_PATH": "the C library loads converters from it",
    "PYTHONPATH": "Python loads modules from it",
    "PYTHONHOME": "Python finds its library by it",
    "PYTHONSTARTUP": "Python runs the file first",
    "PERL5LIB": "perl loads modules from it",
    "PERL5OPT": "perl takes options from it",
    "RUBYLIB": "ruby loads modules from it",
    "RUBYOPT": "ruby takes options from it",
    "NODE_PATH": "node loads modules from it",
    "NODE_OPTIONS": "node takes options from it",
    "SYMPHONY_RUN_ID": "Symphony sets it itself, so the input is lost",
    "SYMPHONY_NODE": "Symphony sets it itself, so the input is lost",
}


def check_command(level: Level, node: CommandNode, scope: Scope, name: str, fed: Collection[str]) -> None:
    """Check the command of the node `name`; `fed` are the inputs that explicit edges give it."""
    place = child(level.place, name)
    try:
        found = any(is_expression for is_expression, _ in split(node.command))
    except BadExpression:
        found = True
    if found:
        hint = "give the value as an input: it arrives as an environment variable"
        level.error("bad-expression", child(place, "command"), "a command holds no expressions", hint)
    seen: dict[str, str] = {}
    for key in (*node.inputs, *sorted(key for key in fed if key and key not in node.inputs)):
        variable, at = variable_of(key), f"{place}.inputs.{key}"
        other = seen.setdefault(variable, key)
        if other != key:
            message = f"{key!r} and {other!r} are the same environment variable, {variable}"
            level.error("duplicate-name", at, message, "rename one of them")
        _replaced(level, key, variable, at)
    _withheld(level, node, scope, name, seen)


def _replaced(level: Level, key: str, variable: str, at: str) -> None:
    """Report an input that takes the place of a variable with a meaning."""
    hint = f"call it otherwise, for instance my_{key}"
    if is_vital(variable):
        message = f"the input {key!r} would replace the variable {variable}, which the shell works by"
        level.error("reserved-name", at, message, hint)
        return
    why = _HARMFUL.get(variable)
    if variable.startswith("BASH_FUNC_"):
        why = "bash may take it for a function"
    elif is_plain(variable):
        why = "programs expect something else in it"
    if why is not None:
        message = f"the input {key!r} replaces the variable {variable} for the command: {why}"
        level.sheet.warnings.add("reserved-name", at, message, hint)


def _withheld(level: Level, node: CommandNode, scope: Scope, name: str, given: Collection[str]) -> None:
    """Warn where the text names a variable that the command does not see, since no input reads it."""
    listed, keys = level.sheet.workflow.env, scope.catalog.keys
    named = [
        one
        for one in dict.fromkeys((*listed, *sorted(keys)))
        if one in node.command and one not in given and not is_vital(one) and not is_plain(one)
        if _mentions(node.command, one)
    ]
    if not named:
        return
    read = set(_read(level, node, scope, name))
    for one in named:
        if one in read:
            continue
        what = "is listed under env" if one in listed else "is the key of a model"
        message = f"the command names {one}, which {what}: only commands with an input that reads it get it"
        hint = f'add inputs: {{{one.lower()}: "${{{{ env.{one} }}}}"}}'
        hint = hint if one in listed else f"list {one} under env and {hint}"
        level.sheet.warnings.add("missing-input", f"{child(level.place, name)}.command", message, hint)


def _mentions(text: str, name: str) -> bool:
    """Does a command name the variable, without setting it itself?"""
    word = re.escape(name)
    if re.search(rf"(?<![A-Za-z0-9_${{]){word}\+?=|\b(?:read|for)\b[^\n;]*\b{word}\b", text):
        return False
    return re.search(rf"(?<![A-Za-z0-9_]){word}(?![A-Za-z0-9_])", text) is not None


def _read(level: Level, node: CommandNode, scope: Scope, name: str) -> Iterator[str]:
    """The variables that the inputs of a node read."""
    for value in node.inputs.values():
        try:
            yield from (read.name for read in scope.compiler.template(value).reads if read.kind == "env")
        except BadExpression:
            continue  # reported where the input is checked
    for edge in level.sheet.workflow.edges:
        if isinstance(edge, DataEdge) and edge.target == name and edge.transform is not None:
            try:
                reads = scope.seeing(value=ANY).compiler.transform(edge.transform).reads
            except BadExpression:
                continue
            yield from (read.name for read in reads if read.kind == "env")
