"""Words that a shell evaluates once more after reading them, in some commands and places. Pure.

A quoted word is safe where it is an argument, a value or the name of a file. It is not where a shell
takes the word itself for program text, for a name with a subscript, or for arithmetic: bash expands
`a[$(…)]` there, whatever quotes stood around it. Only the shell's own commands are known here; what
another program does with its arguments is for the author of the command to know. Sources: Bash
Reference Manual 5.2, 3.5.3, 3.6.8, 4.1 to 4.3, 6.5 and 6.7; and trials (tests/e2e).
"""

import re
from typing import Final

import msgspec

from symphony.workflow.templates.placeholders import PLACEHOLDER

_TOKEN: Final = re.compile(
    PLACEHOLDER.pattern
    + r"""|(?P<quoted>'[^']*'|"(?:[^"\\]|\\.)*")|(?P<escape>\\.)|(?P<comment>(?<![^\s;&|()<>])\#[^\n]*)"""
    + r"""|(?P<redirect>&?[<>]+[&|]?)|(?P<blank>[ \t]+)|(?P<end>[;&|\n]+)|(?P<open>\()|(?P<close>\))"""
    + r"""|(?P<char>.)""",
    re.DOTALL,
)
_ASSIGNMENT: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\[[^\]]*\])?\+?=")
_BEFORE_COMMANDS: Final = frozenset(
    {"if", "then", "else", "elif", "while", "until", "do", "!", "{", "time", "command", "builtin", "exec"}
)
_EVALUATE: Final = frozenset(
    {
        "eval", "let", "trap", "read", "mapfile", "readarray", "getopts", "unset", "compgen", "complete",
        "alias", "bind",
    }
)  # fmt: skip
_SHELLS: Final = frozenset({"sh", "bash", "dash", "zsh", "ksh", "ash", "fish"})
_DECLARE: Final = frozenset({"declare", "typeset", "local"})
_DECLARED: Final = re.compile(
    r"(?<![\w./-])(?:(?:declare|typeset|local|readonly|export)(?:\s+-[A-Za-z]+)*?\s+-[A-Za-z]*[aAinN])"
)
_PROGRAMS: Final = re.compile(r"(?:PS[0-4]|PROMPT_COMMAND|ENV|BASH_ENV)\+?=")
_SUBSCRIPT: Final = re.compile(r"(?:^|\s)(?:[A-Za-z_][A-Za-z0-9_]*\[|\[(?![\[\s]))[^\]]*$")
_ARITHMETIC_TEST: Final = re.compile(r"(?<!\S)-(?:eq|ne|lt|le|gt|ge|v|R)(?!\S)")


class _Open(msgspec.Struct):
    """A simple command that is not over yet."""

    words: list[str] = msgspec.field(default_factory=list)
    word: str | None = None
    """The beginning of the unfinished word; None between words."""
    redirect: str = ""
    """The redirection sign whose target the word is."""
    test: int | None = None
    """The place of `[[` until it is closed."""

    def blank(self, at: int) -> None:
        """End the word, if there is one, before the character `at`."""
        if self.word is None:
            return
        if not self.redirect:
            self.words.append(self.word)
        if self.word == "{":  # the body of a function begins
            self.words.clear()
        elif self.word == "[[" and self.test is None:
            self.test = at - 2
        elif self.word == "]]":
            self.test = None
        self.word, self.redirect = None, ""

    def begin_redirect(self, sign: str) -> None:
        """Begin the target of a redirection; digits before the sign are a descriptor's."""
        if self.word is not None and self.word.isdigit():
            self.word = None
        self.blank(0)
        self.redirect = sign


def evaluated(command: str, end: int) -> str | None:
    """Return what evaluates the word at `end` once more, as half a sentence; None if nothing is known to.

    Quotes before `end` must be closed, and hold no substitutions.
    """
    if _DECLARED.search(command, 0, end):
        return "after a variable is declared a number, a list or a reference"
    one = _open_at(command, end)
    word = one.word or ""
    if one.redirect:  # the name of a file, or a descriptor
        return f"after {one.redirect}" if one.redirect.endswith("&") else None
    if one.test is not None:
        inside = PLACEHOLDER.sub(" ", command[one.test :]).partition("]]")[0]
        return "in [[ … ]] with arithmetic or -v" if _ARITHMETIC_TEST.search(inside) else None
    if _SUBSCRIPT.search(" ".join([*one.words, word])):
        return "inside […]"
    if _PROGRAMS.match(word):
        return f"after {word.partition('=')[0]}="
    return _by_command(one.words, word)


def _by_command(words: list[str], word: str) -> str | None:
    at = 0
    while at < len(words) and (
        words[at] in _BEFORE_COMMANDS or _ASSIGNMENT.match(words[at]) or (at and words[at].startswith("-"))
    ):
        at += 1
    if at == len(words):
        return None
    head, before = words[at], words[-1]
    if head in _EVALUATE:
        return f"after `{head}`"
    if head in _DECLARE and not _ASSIGNMENT.match(word):
        return f"after `{head}`"
    if head in ("test", "[", "printf") and ("-v" in (before, word) or before == "-R"):
        return f"after `{head} -v`"
    return "after `sh -c`" if re.fullmatch(r"-[a-z]*c", before) and _is_shells(words) else None


def _is_shells(words: list[str]) -> bool:
    """True if the last word is an option of a shell, not an argument of a script that the shell runs."""
    for at in range(len(words) - 2, -1, -1):
        if words[at].rpartition("/")[2] in _SHELLS:
            return True
        if words[at][:1] not in ("-", "+") and words[at - 1][1:] not in ("o", "O"):
            return False
    return False


def _open_at(command: str, end: int) -> _Open:
    """Return the simple command that the word at `end` belongs to."""
    one, outer = _Open(), list[_Open]()
    for token in _TOKEN.finditer(command, 0, end):
        kind = token.lastgroup
        if kind == "blank" or (one.test is not None and kind in ("end", "redirect", "open", "close")):
            one.blank(token.start())
        elif kind == "end":
            one = _Open()
        elif kind == "redirect":
            one.begin_redirect(token[0])
        elif kind == "open":
            outer.append(one)
            one = _Open()
        elif kind == "close":  # the end of a `case` pattern, if nothing was opened
            one = outer.pop() if outer else _Open()
            if one.words or one.word is not None or one.redirect:
                one.word = (one.word or "") + "_"
        elif kind != "comment" and token[0] != "\\\n":  # a continued line
            one.word = (one.word or "") + _literal(kind, token[0])
    return one


def _literal(kind: str | None, text: str) -> str:
    """Return a part of a word as the shell will have it; brackets in quotes mean nothing."""
    if kind == "char":
        return text
    inner = text[1:] if kind == "escape" else text[1:-1] if kind == "quoted" else "_"
    return inner.replace("[", "_").replace("]", "_")
