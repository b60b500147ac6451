"""The state of a loop in short."""

import pytest

from symphony.pit.artifacts.values.redaction import Redactor
from symphony.pit.tracker.nodes.stating import stated
from symphony.ports.values import ArtifactRef, Digest, StoredValue

SECRET = "hunter2hunter2hunter2"
LONG = "0123456789" * 60
MASK = Redactor({"TOKEN": SECRET, "KEY": LONG, "PIN": "987654"}).mask_cut


def test_no_state_is_not_mentioned() -> None:
    assert stated({}, MASK) == ""


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "null"),
        (True, "true"),
        (1.5, "1.5"),
        ("a\nb\x1b[31m", '"a\\nb\\x1b[31m"'),
        (b"abc", "<3 bytes>"),
        ([], "[]"),
        ([[[[1]]], {}], "[[[…]], {}]"),
        (list(range(12)), "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, …]"),
        ({"a": 1, "b": ["c"]}, '{"a": 1, "b": ["c"]}'),
        ("x" * 1_000_000, '"' + "x" * 59 + "…"),
        (ArtifactRef(digest=Digest("0" * 64), size=70_000), "<70,000 bytes>"),
    ],
)
def test_a_value_is_one_short_line(value: StoredValue, shown: str) -> None:
    assert stated({"v": value}, MASK) == f"; its last state: v = {shown}"


@pytest.mark.parametrize("before", [0, 30, 45, 50, 58, 59, 60, 225, 230, 239])
@pytest.mark.parametrize("secret", [SECRET, LONG])
def test_a_secret_is_hidden_wherever_the_value_is_cut(before: int, secret: str) -> None:
    text = "x" * before + secret
    values: list[StoredValue] = [text, [text], {text: 1}, {"k": text}]
    for value in values:
        said = stated({"v": value}, MASK)
        assert not any(secret[at : at + 4] in said for at in range(len(secret) - 3))


def test_a_number_that_is_a_secret_is_hidden() -> None:
    assert stated({"pin": 987654, "all": [987654]}, MASK) == "; its last state: pin = ***, all = [***]"


def test_of_many_variables_the_first_ones_are_shown() -> None:
    said = stated({f"s{number}": number for number in range(12)}, MASK)
    assert said.endswith("s9 = 9 and 2 more")
