"""Warnings of references in the text of a command: `echo {{ inputs.who }}`, which the shell gets as it is.

Braces that name nothing of the workflow are left alone: Docker, Go and Jinja have such templates too.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from symphony.commons.environment import is_plain, is_vital, variable_of
from symphony.ports.values import Value
from symphony.workflow.validation.level import Level
from symphony.workflow.validation.scope import Scope

_NAME: Final = r"[A-Za-z_][\w-]*"
_BRACES: Final = re.compile(
    rf"""(?P<all>
    (?<!\$)\$?\{{\{{-?\s*(?P<double>(?:nodes\.)?{_NAME}(?:\.{_NAME})*)[^{{}}\n]*\}}\}}
    |\$\{{(?P<single>(?:nodes\.)?{_NAME}(?:\.{_NAME})+)\}}
    |\$(?P<plain>inputs\.{_NAME})
    )""",
    re.VERBOSE | re.ASCII,
)


def warn_of_braces(level: Level, text: str, place: str, scope: Scope, given: Mapping[str, Value]) -> None:
    """Warn of the first reference in a command's `text`; `given` are the inputs of its node."""
    if "{" not in text and "$inputs." not in text:
        return
    for written, reference in _references(text, scope):
        message = f"the shell gets {written} as it is, though it names a value of this workflow"
        level.sheet.warnings.add("bad-expression", place, message, _how_given(reference, given))
        if reference.startswith("inputs."):
            level.sheet.used_inputs.add(reference.removeprefix("inputs."))  # one warning is enough
        return


def _how_given(reference: str, given: Mapping[str, Value]) -> str:
    """Return how a command gets what `reference`, such as `inputs.who`, names."""
    expression = f"${{{{ {reference} }}}}"
    key = next((key for key, value in given.items() if value == expression), None)
    if key is not None:
        return f'write "${variable_of(key)}", which has the input {key}'
    key = re.sub(r"\W", "_", reference.rpartition(".")[2].rstrip('"]'))
    if is_vital(variable_of(key)) or is_plain(variable_of(key)):
        key = f"my_{key}"
    added = f'add inputs: {{{key}: "{expression}"}} to the node'
    return f'{added}, and write "${variable_of(key)}" in the command'


def _references(text: str, scope: Scope) -> Iterator[tuple[str, str]]:
    """Yield what is written, and what it names in the workflow."""
    from symphony.workflow.validation.remedies import forgotten  # seldom needed

    for found in _BRACES.finditer(text):
        named = found["double"] or found["single"] or found["plain"]
        meant = forgotten(f"{{{{ {named} }}}}", scope)
        if meant is not None:
            yield found["all"], meant.removeprefix("${{ ").removesuffix(" }}")
