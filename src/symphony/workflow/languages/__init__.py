"""Checks texts that operators take in a language: CEL, JMESPath, regular expressions, Jinja templates.

`faults_in` compiles a text and says what is wrong with it. Nothing is evaluated and no file is read.
What might take long to compile is left to the run, which does it in a process of its own. The library
of a language is loaded for the first text in it.
"""

from collections.abc import Collection
from typing import Final

from symphony.workflow.languages.faults import LiteralFault
from symphony.workflow.types import Language

__all__ = ["LiteralFault", "faults_in", "work_of"]

_LEAST: Final = 16
_TEMPLATE: Final = 4
_GLOB: Final = 20_000


def work_of(text: str, language: Language) -> int:
    """Return the work of compiling `text`: at worst about that of so many characters of CEL, 3 µs each.

    That is 3 µs each. Not a bound: what takes more than a fraction of a second is not compiled at all.
    """
    work = len(text) + _LEAST
    match language.name:
        case "template" | "template-file":
            work *= _TEMPLATE
        case "regex":
            from symphony.workflow.languages.regex_text import parts_of

            work += parts_of(text) // 4
        case "glob" if "{" in text:
            work += _GLOB
    return work


def faults_in(text: str, language: Language, names: Collection[str] | None) -> tuple[LiteralFault, ...]:
    """Return the problems of `text`, which may come from a file.

    `names` are those that it may use; None: they are not known.
    """
    match language.name:
        case "cel":
            from symphony.workflow.languages.cel_text import cel_faults

            return cel_faults(text, names, language.gives)
        case "jmespath":
            from symphony.workflow.languages.jmespath_text import jmespath_faults

            return jmespath_faults(text)
        case "regex":
            from symphony.workflow.languages.regex_text import regex_faults

            return regex_faults(text)
        case "glob":
            from symphony.workflow.languages.glob_text import glob_faults

            return glob_faults(text)
        case "template" | "template-file":
            from symphony.workflow.languages.template_text import template_faults

            return template_faults(text, names)
    return ()
