"""Checks of commands: their text, and the variables that their inputs become. Pure.

Names that make the shell or the loader find other programs, split words or run other code first are
refused. Names with a meaning for some programs get a warning.
"""

import re
from collections.abc import Collection, Iterator
from typing import Final
from urllib.parse import urlsplit

from symphony.commons.environment import is_needed, is_plain, is_vital, variable_of
from symphony.workflow.expressions import BadExpression, ValueTemplate, split
from symphony.workflow.model import CommandNode, DataEdge, OperatorNode
from symphony.workflow.problems import child, shown
from symphony.workflow.types import ANY
from symphony.workflow.validation.braces import warn_of_braces
from symphony.workflow.validation.level import Level
from symphony.workflow.validation.scope import Scope

_MEANINGS: Final = {
    "the shell sets it itself, so the input is lost": (
        "PPID OPTIND LINENO RANDOM SRANDOM SECONDS SHLVL HISTCMD EPOCHSECONDS EPOCHREALTIME BASHPID "
        "BASH_VERSION BASH_COMMAND BASH_SUBSHELL _"
    ),
    "bash takes its options from it": "BASHOPTS BASH_COMPAT BASH_XTRACEFD",
    "the shell evaluates it for each line that `set -x` shows": "PS4",
    "cd looks for folders in it": "CDPATH",
    "bash leaves out files that match it": "GLOBIGNORE EXECIGNORE",
    "bash runs it before each prompt": "PROMPT_COMMAND",
    "`cd -` goes there": "OLDPWD",
    "programs change their behaviour where it is set": "POSIXLY_CORRECT COLUMNS",
    "programs tell the time by it": "TZ TZDIR",
    "programs take it for the user's name": "LOGNAME",
    "programs start what it names": "EDITOR VISUAL PAGER BROWSER LESSOPEN LESSCLOSE RSYNC_RSH SSH_ASKPASS",
    "programs reach the network through it": "HTTP_PROXY HTTPS_PROXY ALL_PROXY NO_PROXY FTP_PROXY",
    "programs trust the certificates that it names": "SSL_CERT_FILE SSL_CERT_DIR CURL_CA_BUNDLE",
    "programs look for their settings in it": (
        "XDG_CONFIG_HOME XDG_CONFIG_DIRS XDG_DATA_HOME CURL_HOME WGETRC NETRC"
    ),
    "the C library works by it": (
        "GCONV_PATH GLIBC_TUNABLES LOCPATH NLSPATH HOSTALIASES RES_OPTIONS LOCALDOMAIN"
    ),
    "Python loads modules from it": "PYTHONPATH",
    "Python finds its library by it": "PYTHONHOME",
    "Python runs the file first": "PYTHONSTARTUP",
    "Python takes options from it": (
        "PYTHONINSPECT PYTHONWARNINGS PYTHONBREAKPOINT PYTHONOPTIMIZE PYTHONSAFEPATH PYTHONIOENCODING "
        "PYTHONUTF8 PYTHONUSERBASE PYTHONHASHSEED"
    ),
    "perl loads modules from it": "PERL5LIB PERLLIB",
    "perl takes options from it": "PERL5OPT PERL5DB PERLIO",
    "ruby loads modules from it": "RUBYLIB GEM_HOME GEM_PATH BUNDLE_GEMFILE",
    "ruby takes options from it": "RUBYOPT",
    "node loads modules from it": "NODE_PATH",
    "node takes options from it": "NODE_OPTIONS",
    "java loads classes from it": "CLASSPATH",
    "java takes options from it": "JAVA_TOOL_OPTIONS JDK_JAVA_OPTIONS _JAVA_OPTIONS",
    "make takes options from it": "MAKEFLAGS MFLAGS MAKEFILES MAKELEVEL",
    "a program takes options from it": (
        "TAR_OPTIONS GREP_OPTIONS XZ_OPT XZ_DEFAULTS GZIP ZSTD_CLEVEL LS_OPTIONS"
    ),
    "git works on another repository, or otherwise": (
        "GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE GIT_COMMON_DIR GIT_OBJECT_DIRECTORY GIT_NAMESPACE GIT_CONFIG "
        "GIT_CONFIG_GLOBAL GIT_CONFIG_SYSTEM GIT_CONFIG_COUNT GIT_CONFIG_PARAMETERS GIT_EXEC_PATH "
        "GIT_TEMPLATE_DIR GIT_LITERAL_PATHSPECS GIT_GLOB_PATHSPECS"
    ),
    "git runs what it names": (
        "GIT_SSH GIT_SSH_COMMAND GIT_EXTERNAL_DIFF GIT_PAGER GIT_EDITOR GIT_SEQUENCE_EDITOR GIT_ASKPASS "
        "GIT_PROXY_COMMAND"
    ),
    "Symphony sets it itself, so the input is lost": "SYMPHONY_RUN_ID SYMPHONY_NODE SYMPHONY_RUN_HOME",
}
"""Variables with a meaning for shells and common programs: the names by the reason."""
_HARMFUL: Final = {name: why for why, names in _MEANINGS.items() for name in names.split()}
_SYMPHONY: Final = "SYMPHONY_"


def check_command(level: Level, node: CommandNode, scope: Scope, name: str, fed: Collection[str]) -> None:
    """Check the command of the node `name`; `fed` are the inputs that explicit edges give it."""
    place = child(level.place, name)
    if _holds_expressions(node.command):
        hint = "give the value as an input: it arrives as an environment variable"
        level.error("bad-expression", child(place, "command"), "a command holds no expressions", hint)
    else:
        warn_of_braces(level, node.command, child(place, "command"), scope, node.inputs)
    seen: dict[str, str] = {}
    for key in (*node.inputs, *sorted(key for key in fed if key and key not in node.inputs)):
        variable, at = variable_of(key), f"{place}.inputs.{key}"
        other = seen.setdefault(variable, key)
        if other != key:
            message = f"{key!r} and {other!r} are the same environment variable, {variable}"
            level.error("duplicate-name", at, message, "rename one of them")
        _replaced(level, key, variable, at)
    _withheld(level, node, scope, name, seen)


def _holds_expressions(text: str) -> bool:
    try:
        return any(is_expression for is_expression, _ in split(text))
    except BadExpression:
        return True


def check_finish(level: Level) -> None:
    """Check what is to be notified at the end of a run."""
    told = level.sheet.workflow.on_finish
    if told is None:
        return
    if told.command is not None:
        place = "on_finish.command"
        if _holds_expressions(told.command):
            hint = "RUN, WORKFLOW, STATUS and ERROR are in its environment"
            level.error("bad-expression", place, "a command holds no expressions", hint)
        if "\0" in told.command:
            level.error("type-mismatch", place, "the command contains a null character", "remove it")
        for one, what in _withheld_names(level, told.command):
            message = f"on_finish names {one}, which {what}: it does not get it"
            hint = "keep the secret in a file that the command reads, or under another name"
            level.sheet.warnings.add("missing-input", place, message, hint)
    if told.url is not None:
        if _holds_expressions(told.url):
            hint = "write the whole address; command: can put one together"
            level.error("bad-expression", "on_finish.url", "this url holds no expressions", hint)
        elif (why := _wrong_url(told.url)) is not None:
            hint = "write one such as https://example.org/hook"
            level.error("type-mismatch", "on_finish.url", why, hint)


def _wrong_url(url: str) -> str | None:
    """Return why nothing can be sent to the address; None if something can."""
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises if the port is not a number
    except ValueError as error:
        return f"{shown(url)} is not a URL: {error}"
    if parts.scheme.lower() not in ("http", "https") or not parts.hostname or not url.isprintable():
        return f"{shown(url)} is not a URL that begins with https:// or http://"
    if parts.username is not None or parts.password is not None:
        return "a user and a password cannot stand in the URL"
    return None


def check_environment(level: Level, node: OperatorNode, name: str) -> None:
    """Check the variables that a node `operator: command` is given in one map."""
    if node.operator.partition("@")[0] != "command":
        return
    given, place = node.inputs["environment"], f"{child(level.place, name)}.inputs.environment"
    if isinstance(given, dict):
        for key in given:
            _replaced(level, key, variable_of(key), f"{place}.{key}")
    elif isinstance(given, str):
        message = (
            "what the variables are called comes from data: PATH or LD_PRELOAD among them changes what runs"
        )
        level.sheet.warnings.add("reserved-name", place, message, "name them in a map: {file: …}")


def _replaced(level: Level, key: str, variable: str, at: str) -> None:
    """Report an input whose variable would replace one with a meaning."""
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
    elif why is None and variable.startswith(_SYMPHONY):
        why = "Symphony takes settings from it"
    if why is not None:
        message = f"the input {key!r} replaces the variable {variable} for the command: {why}"
        level.sheet.warnings.add("reserved-name", at, message, hint)


def _withheld(level: Level, node: CommandNode, scope: Scope, name: str, given: Collection[str]) -> None:
    """Warn if the text names a variable that the command does not see, since no input reads it."""
    listed = level.sheet.workflow.env
    named = [(one, what) for one, what in _withheld_names(level, node.command) if one not in given]
    if not named:
        return
    read = set(_read(level, scope, name))
    for one, what in named:
        if one in read:
            continue
        message = f"the command names {one}, which {what}: only commands with an input that reads it get it"
        hint = f'add inputs: {{{one.lower()}: "${{{{ env.{one} }}}}"}}'
        hint = hint if one in listed else f"list {one} under env and {hint}"
        level.sheet.warnings.add("missing-input", f"{child(level.place, name)}.command", message, hint)


def _withheld_names(level: Level, command: str) -> list[tuple[str, str]]:
    """Return the variables that a command names but is not given, each with what it is."""
    listed, keys = level.sheet.workflow.env, level.scope.catalog.keys
    return [
        (one, "is listed under env" if one in listed else "has a key or passphrase of the settings")
        for one in dict.fromkeys((*listed, *sorted(keys)))
        if one in command and not is_needed(one) and _mentions(command, one)
    ]


def _mentions(text: str, name: str) -> bool:
    """True if a command names the variable without setting it itself."""
    word = re.escape(name)
    if re.search(rf"(?<![A-Za-z0-9_${{]){word}\+?=|\b(?:read|for)\b[^\n;]*\b{word}\b", text):
        return False
    return re.search(rf"(?<![A-Za-z0-9_]){word}(?![A-Za-z0-9_])", text) is not None


def _read(level: Level, scope: Scope, name: str) -> Iterator[str]:
    """Yield the variables that the inputs of a node read."""
    compiled = scope.compiled
    for template in compiled.nodes[compiled.index[name]].inputs.values():
        yield from _variables(template, scope)
    for edge, transform in zip(level.sheet.workflow.edges, compiled.edges, strict=False):
        if isinstance(edge, DataEdge) and edge.target == name and transform is not None:
            yield from _variables(transform, scope.seeing(value=ANY))


def _variables(template: ValueTemplate, scope: Scope) -> Iterator[str]:
    try:
        template.type_in(scope.types)
    except BadExpression:
        return  # reported where the input is checked
    yield from (read.name for read in template.reads if read.kind == "env")
