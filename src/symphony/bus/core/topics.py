"""Topics, patterns over them, and a trie that finds the patterns which match a topic.

A topic is tokens joined by dots: `run.7f3a.node.finished`. In a pattern `*` stands for one token
and a final `>` for one or more: `run.*.node.failed`, `run.7f3a.>`. The rules are those of NATS
subjects, so that a topic means the same on one machine and on many.
"""

from collections.abc import Iterator
from typing import Final, Generic, TypeVar

from symphony.commons.errors import ValidationFailed

TOPIC_CHARACTERS_MAX: Final = 255
ONE: Final = "*"
REST: Final = ">"

_Item = TypeVar("_Item")


def check_topic(topic: str) -> None:
    """Raises ValidationFailed for something that is not a topic."""
    for token in _tokens(topic, "topic"):
        if ONE in token or REST in token:
            raise _invalid(topic, "topic", "it has a wildcard")


def check_pattern(pattern: str) -> None:
    """Raises ValidationFailed for something that is not a pattern. Every topic is one."""
    tokens = _tokens(pattern, "pattern")
    for place, token in enumerate(tokens, 1):
        if token == REST and place < len(tokens):
            raise _invalid(pattern, "pattern", "`>` is not its last token")
        if len(token) > 1 and (ONE in token or REST in token):
            raise _invalid(pattern, "pattern", f"the token {token!r} is more than a wildcard")


def has_wildcard(pattern: str) -> bool:
    """True if `pattern` can match more than one topic."""
    return ONE in pattern or REST in pattern


def matches(pattern: str, topic: str) -> bool:
    """True if `pattern` matches `topic`. The trie answers this for many patterns at once."""
    wanted, found = pattern.split("."), topic.split(".")
    if wanted[-1] == REST:
        wanted.pop()
        if len(found) <= len(wanted):
            return False
        del found[len(wanted) :]
    return len(wanted) == len(found) and all(
        want in (ONE, got) for want, got in zip(wanted, found, strict=True)
    )


def covers(pattern: str, other: str) -> bool:
    """True if `pattern` matches every topic that the pattern `other` matches."""
    return matches(pattern, other) and (not other.endswith(REST) or pattern.endswith(REST))


def reaches_below(pattern: str, prefix: str) -> bool:
    """True if some topic begins with the tokens of `prefix`, continues, and matches `pattern`."""
    wanted, given = pattern.split("."), prefix.split(".")
    for want, got in zip(wanted, given, strict=False):
        if want == REST:
            return True
        if want not in (ONE, got):
            return False
    return len(wanted) > len(given)


def _tokens(text: str, kind: str) -> list[str]:
    if not 0 < len(text) <= TOPIC_CHARACTERS_MAX:
        raise _invalid(text, kind, f"it has {len(text)} characters; 1 to {TOPIC_CHARACTERS_MAX} are allowed")
    tokens = text.split(".")
    if not all(tokens):
        raise _invalid(text, kind, "a token is empty")
    if not text.isprintable() or " " in text:
        raise _invalid(text, kind, "it has spaces or characters that cannot be printed")
    return tokens


def _invalid(text: str, kind: str, why: str) -> ValidationFailed:
    return ValidationFailed(
        f"{text!r:.120} is not a {kind}: {why}",
        details={"field": kind},
        hint="join tokens with dots, such as run.7f3a.node.finished; in patterns `*` is one token and a "
        "final `>` the rest",
    )


class _Node(Generic[_Item]):
    __slots__ = ("below", "items")

    def __init__(self) -> None:
        self.below: dict[str, _Node[_Item]] = {}
        self.items: dict[_Item, None] = {}


class Trie(Generic[_Item]):
    """Items under patterns. The same item may stand under several patterns."""

    def __init__(self) -> None:
        self._root: _Node[_Item] = _Node()

    def add(self, pattern: str, item: _Item) -> None:
        """Put `item` under a valid `pattern`; nothing changes if it is there."""
        node = self._root
        for token in pattern.split("."):
            found = node.below.get(token)
            if found is None:
                found = node.below[token] = _Node()
            node = found
        node.items[item] = None

    def remove(self, pattern: str, item: _Item) -> None:
        """Take it away, with the branches that hold nothing any more. Raises KeyError if it is not there."""
        path = [(self._root, "")]
        for token in pattern.split("."):
            path.append((path[-1][0].below[token], token))
        del path[-1][0].items[item]
        for (parent, _), (node, token) in zip(reversed(path[:-1]), reversed(path[1:]), strict=True):
            if node.items or node.below:
                return
            del parent.below[token]

    def match(self, topic: str) -> Iterator[_Item]:
        """Items under patterns that match. O(tokens · 2^wildcards on the way), whatever there is besides."""
        level = [self._root]
        for token in topic.split("."):
            below: list[_Node[_Item]] = []
            for node in level:
                below.extend(node.below[key] for key in (token, ONE) if key in node.below)
                if (rest := node.below.get(REST)) is not None:
                    yield from rest.items
            level = below
        for node in level:
            yield from node.items

    def __bool__(self) -> bool:
        return bool(self._root.below)
