"""MessagePack: a C decoder builds the tree; a survey in Python says what is wrong, and where.

The decoder accepts duplicate keys and keeps the last. A document in the shortest encoding equals its decoded
tree written again, unless something was dropped. Only documents that differ are surveyed. Pure.
"""

import sys

import msgspec

from symphony.workflow.documents.msgpack_survey import survey
from symphony.workflow.documents.tree import RECURSION_USUAL, Document, Tree, not_readable


def parse(body: bytes) -> Document:
    """Return the document in `body`. Raises SyntaxProblem."""
    # A recursive decoder is safe only as long as Python's own limit keeps it from exhausting the stack.
    if sys.getrecursionlimit() <= RECURSION_USUAL:
        try:
            tree = msgspec.msgpack.decode(body)
            if msgspec.msgpack.encode(tree) == body:
                return Document(tree, (), None)
        except (msgspec.MsgspecError, RecursionError, TypeError, ValueError):
            pass  # the survey says what is wrong
    twice = survey(body)
    try:
        return Document(msgspec.msgpack.decode(body), twice, None)
    except (msgspec.MsgspecError, RecursionError, TypeError, ValueError) as error:
        raise not_readable("MessagePack", str(error)) from None


def write(tree: Tree) -> bytes:
    """Return the shortest document that spells `tree`."""
    return msgspec.msgpack.encode(tree)
