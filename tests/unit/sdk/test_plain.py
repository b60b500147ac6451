"""What an operator returns is carried as it is, or refused: never changed without a word."""

import array
import collections
import dataclasses
import datetime
import decimal
import enum
import fractions
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import NamedTuple

import msgspec
import numpy as np
import pytest

from symphony import operator
from symphony.sdk.plain import to_value


class Colour(str, enum.Enum):  # noqa: UP042  (its own text is another)
    RED = "red"


class Size(enum.IntEnum):
    SMALL = 1


class Shape(enum.Enum):
    PAIR = (1, 2)


class Loud(str):
    def __str__(self) -> str:
        return "loud"


class Odd(int):
    def __int__(self) -> int:
        return 7


class Half(float):
    def __float__(self) -> float:
        return 7.0


class Raw(bytes):
    def __bytes__(self) -> bytes:
        return b"other"


class Row(NamedTuple):
    a: int
    b: str


@dataclasses.dataclass(frozen=True)
class Point:
    x: int
    _y: int = 2


class Box(msgspec.Struct):
    a: int = 1


CARRIED: list[tuple[object, object]] = [
    (True, True), (1, 1), (1.0, 1.0), (-0.0, -0.0), (2**63 - 1, 2**63 - 1), ("", ""), (b"\xff", b"\xff"),
    ([True, 1, 1.0], [True, 1, 1.0]), ((1, (2,)), [1, [2]]), ({"b": 1, "a": (2,)}, {"b": 1, "a": [2]}),
    (Colour.RED, "red"), ({Colour.RED: 1}, {"red": 1}), (Size.SMALL, 1), (Shape.PAIR, [1, 2]),
    (Loud("x"), "x"), ({Loud("x"): Loud("y")}, {"x": "y"}), ([Loud("x")], ["x"]), (Odd(3), 3),
    (Half(1.5), 1.5),
    (Raw(b"x"), b"x"), (bytearray(b"ab"), b"ab"), (memoryview(b"ab"), b"ab"), ([bytearray(b"ab")], [b"ab"]),
    (Row(1, "b"), [1, "b"]), (Point(1), {"x": 1, "_y": 2}), (Box(), {"a": 1}),
    (collections.OrderedDict(b=1, a=2), {"b": 1, "a": 2}), (collections.Counter("aab"), {"a": 2, "b": 1}),
    ({3, 1, 2}, [1, 2, 3]), ({10, 9}, [9, 10]), (frozenset("ba"), ["a", "b"]), ({b"b", b"a"}, [b"a", b"b"]),
    ({(2, "b"), (1, "a")}, [[1, "a"], [2, "b"]]),
    ({Point(2), Point(1)}, [{"x": 1, "_y": 2}, {"x": 2, "_y": 2}]),
    ({None, "a", 1}, [None, 1, "a"]), (PurePosixPath("a/b"), "a/b"), (decimal.Decimal("1.10"), "1.10"),
    (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    (datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC), "2020-01-01T00:00:00Z"),
    (datetime.date(2020, 1, 1), "2020-01-01"), (datetime.timedelta(seconds=1.5), "PT1.5S"),
    (array.array("d", [1.0]), [1.0]), (np.float64(0.1), 0.1), (np.float32(0.5), 0.5), (np.int8(3), 3),
    (np.bool_(True), True), (np.str_("a"), "a"), (np.bytes_(b"a"), b"a"), (np.array([[1, 2]]), [[1, 2]]),
    (np.array(5), 5), (np.datetime64("2020-01-01"), "2020-01-01"), ({"a": np.int64(1)}, {"a": 1}),
]  # fmt: skip


@pytest.mark.parametrize("at", range(len(CARRIED)))
def test_values_arrive_as_they_are(at: int) -> None:
    returned, expected = CARRIED[at]
    found = to_value(returned)
    assert repr(found) == repr(expected), "types and order count"


REFUSED: list[object] = [
    2**63, -(2**63) - 1, float("nan"), float("inf"), 1j, fractions.Fraction(1, 3), range(3), iter([1]),
    object(), collections.deque([1]), {1: "a"}, {Size.SMALL: 1}, {None: 1}, np.uint64(2**63),
    np.array([np.nan]), np.array([1j]), np.longdouble(1) / 3, msgspec.UNSET, ..., len,
    np.datetime64("2020-01-01T00:00:00.000000001"), np.timedelta64(5, "ns"),
    np.array([0], dtype="M8[ns]"), [1, {"a": object()}],
]  # fmt: skip


@pytest.mark.parametrize("at", range(len(REFUSED)))
def test_what_no_value_can_hold_is_refused(at: int) -> None:
    with pytest.raises(TypeError):
        to_value(REFUSED[at])


def test_what_contains_itself_is_said_to() -> None:
    endless: list[object] = []
    endless.append({"again": endless})
    one = operator("test.endless", version="1.0.0", pure=True)(giving(endless))
    with pytest.raises(TypeError, match=r"output result of test\.endless contains itself"):
        one.ports(endless)


def giving(value: object) -> Callable[[], object]:
    def give() -> object:
        """Give it."""
        return value

    return give


@pytest.mark.slow
def test_a_set_has_one_order_in_every_process() -> None:
    code = "from symphony.sdk.plain import to_value; print(to_value({c * 3 for c in 'abcdefghij'}))"
    said = {
        subprocess.run(
            [sys.executable, "-P", "-c", code],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(said) == 1
