"""Messages about a step that a run does not have: a node, an element, a round. Pure."""

import re
from collections.abc import Collection
from typing import Final

from symphony.commons.errors import SymphonyError
from symphony.pit.tracker.core.names import parent_of
from symphony.workflow.problems import did_you_mean

_SHOWN_CHARS: Final = 200


def unknown_step(name: str, known: Collection[str], elements: int | None = None) -> SymphonyError:
    """Return the error for a `name` that is not among the `known` steps of a run.

    For an element or a round, the error lists which ones exist. `elements` is how many the fan-out has, if
    their names are not known.
    """
    message, hint = f"the run has no node {name[:_SHOWN_CHARS]!r}", "symphony runs show lists them"
    missing, above = name, parent_of(name)
    while above is not None and above not in known:
        missing, above = above, parent_of(above)
    if above is None or missing.startswith(f"{above}."):
        hint = did_you_mean(name, known, hint)
    elif missing.endswith("]"):
        count = len(_numbers(above, "[", known)) if elements is None else elements
        message += f": {_told(above, 'element', count, f'{above}[0]', f'{above}[{count - 1}]')}"
    else:
        count = len(_numbers(above, "#", known))
        message += f": {_told(above, 'round', count, f'{above}#0', f'{above}#{count - 1}')}"
    return SymphonyError(message, code="unknown-node", hint=hint)


def _told(node: str, what: str, count: int, first: str, last: str) -> str:
    if count == 0:
        return f"{node} has no {what}s"
    return (
        f"{node} has one {what}, {first}"
        if count == 1
        else f"{node} has {count:,} {what}s, {first} to {last}"
    )


def _numbers(node: str, mark: str, known: Collection[str]) -> set[str]:
    """Return the numbers of a node's elements or rounds that occur in the names of all steps."""
    begin = f"{node}{mark}"
    told = (name[len(begin) :] for name in known if name.startswith(begin))
    found = (re.match("[0-9]+", rest) for rest in told)
    return {match[0] for match in found if match is not None}
