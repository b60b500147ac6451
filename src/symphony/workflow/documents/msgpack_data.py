"""MessagePack: a C decoder builds the tree; a survey in Python says what is wrong, and where.

The decoder is silent on a key that stands twice, and keeps the last. What it gives, written
again in the shortest way, equals a document that is written so, unless something was dropped:
only other documents are surveyed. Pure.
"""

import sys

import msgspec

from symphony.workflow.documents.msgpack_survey import survey
from symphony.workflow.documents.tree import RECURSION_USUAL, Document, Tree, not_readable


def parse(body: bytes) -> Document:
    """The document in `body`. Raises SyntaxProblem."""
    # A decoder that recurses is safe only while Python's own limit keeps it from the stack's end.
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
    """The shortest document that spells `tree`."""
    return msgspec.msgpack.encode(tree)
