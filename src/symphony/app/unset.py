"""Variables under `env` that are not set and whose absence a run would pass on as the text `null`. Pure."""

import re
from collections.abc import Collection, Iterable, Iterator
from typing import Final

from symphony.workflow.expressions.splitting import strings
from symphony.workflow.model import CommandNode, ControlNode, Node, Workflow

_READ: Final = re.compile(r"\$\{\{\s*env\.([A-Za-z_][A-Za-z0-9_]*)\s*\}\}")


def unset_in_texts(workflows: Iterable[Workflow], unset: Collection[str]) -> tuple[str, ...]:
    """Return those of the variables `unset` that are given to commands or put into texts, in order.

    An operator's input that is nothing but the variable gets null, and an expression can test for that.
    """
    read = {name for one in workflows for node in _nodes(one.nodes.values()) for name in _passed_on(node)}
    return tuple(name for name in unset if name in read)


def _nodes(nodes: Iterable[Node]) -> Iterator[Node]:
    for node in nodes:
        yield node
        if isinstance(node, ControlNode) and node.body:
            yield from _nodes(node.body.values())


def _passed_on(node: Node) -> Iterator[str]:
    for text in strings([*node.inputs.values(), *node.config.values()]):
        for found in _READ.finditer(text):
            if isinstance(node, CommandNode) or found[0] != text.strip():
                yield found[1]
