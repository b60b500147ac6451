"""Texts that operators are given in a language: CEL, JMESPath, regular expressions, Jinja templates.

`faults_in` compiles a text and says what is wrong with it. Nothing is evaluated and no file is read. What
might take long to compile is left to the run, which does it in a process of its own. The library of a
language is loaded for the first text in it.
"""

from collections.abc import Collection

from symphony.workflow.languages.faults import Fault
from symphony.workflow.types import Language

__all__ = ["Fault", "faults_in"]


def faults_in(text: str, language: Language, names: Collection[str] | None) -> tuple[Fault, ...]:
    """What is wrong with `text`, which may be that of a file.

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
