"""The part of a file that one of its functions depends on."""

import pytest

from symphony.sdk.definitions import needed_by

FILE = b'''"""A file."""
from __future__ import annotations
import json
import os.path as paths

LIMIT = 3
OTHER = "y"
first, *rest = 1, 2

class Row:
    pass

@wraps(LIMIT)
def one(x: "list[Row]") -> str:
    return two(x)

def two(x):
    return json.dumps(x)

def three():
    return paths.join(OTHER, globals()["first"])

if __name__ == "__main__":
    three()
'''


def test_what_a_function_uses_is_part_of_it_however_far_and_in_texts_too() -> None:
    part = (needed_by(FILE, "one") or b"").decode()
    for used in ("import json", "LIMIT = 3", "class Row", "@wraps", "def two", "__future__"):
        assert used in part
    for unused in ("OTHER", "paths", "first", "def three", "__main__"):
        assert unused not in part


def test_a_name_that_is_looked_up_as_text_is_used() -> None:
    part = (needed_by(FILE, "three") or b"").decode()
    assert "first, *rest" in part
    assert "def two" not in part


@pytest.mark.parametrize(
    "statement",
    ["setup(two)", "two.limit = 4", "for name in (): pass", "from helpers import *", "LIMIT += 1",
     "try:\n    import fast\nexcept ImportError:\n    fast = None"],
)  # fmt: skip
def test_a_statement_that_does_more_than_name_something_counts_for_all(statement: str) -> None:
    part = needed_by(FILE + statement.encode() + b"\n", "three") or b""
    assert statement.encode() in part
    assert (b"def two" in part) == ("two" in statement)


@pytest.mark.parametrize("source", [b"def one(:", b"", b"\0"])
def test_a_file_without_the_function_has_no_such_part(source: bytes) -> None:
    assert needed_by(source, "one") is None
