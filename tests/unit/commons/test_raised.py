"""Errors of others in words: one word for the code, text that can be shown, no secret in any part."""

import asyncio
import concurrent.futures
import enum
from collections.abc import Callable

import pytest

from symphony.commons.errors import SymphonyError
from symphony.commons.raised import (
    HINT_CHARS_MAX,
    MESSAGE_CHARS_MAX,
    brief,
    contained,
    error_text,
    is_interrupt,
)


class Level(enum.StrEnum):
    BAD = "bad-level"


class Nasty:
    def __str__(self) -> str:
        raise KeyboardInterrupt


def error(**parts: object) -> SymphonyError:
    made = SymphonyError("said")
    for name, value in parts.items():
        setattr(made, name, value)
    return made


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("no-table", "no-table"), ("Pool.exhausted", "Pool.exhausted"), (Level.BAD, "bad-level"),
        (404, "404"),
        (None, "operator-failed"), ("", "operator-failed"), ("two words", "operator-failed"),
        ("a\nb", "operator-failed"), ("\x1b[31m", "operator-failed"), ("é", "operator-failed"),
        ("x" * 200, "operator-failed"), (["a"], "operator-failed"), (Nasty(), "operator-failed"),
        ("\ud800", "operator-failed"),
    ],
)  # fmt: skip
def test_a_code_is_one_word(code: object, expected: str) -> None:
    assert error_text(error(code=code)).code == expected


@pytest.mark.parametrize(
    "text", [7, b"\xff", ["a"], {"a": object()}, Nasty(), "\ud800", "\x1b[2J\x00", "a\r\nb"]
)
@pytest.mark.parametrize("part", ["message", "hint"])
def test_message_and_hint_are_text_that_can_be_written_down(part: str, text: object) -> None:
    found = brief(error_text(error(**{part: text})), str)
    for said in (found.message, found.hint or ""):
        said.encode()
    assert "\x1b" not in (found.hint or "")
    assert "\x00" not in (found.hint or "")


def test_a_hint_keeps_its_first_ten_lines_and_a_message_eight_thousand_characters() -> None:
    found = brief(error_text(error(message="m" * 100_000, hint="\n".join(map(str, range(300))))), str)
    assert len(found.message) == MESSAGE_CHARS_MAX
    assert found.hint == "0\n1\n2\n3\n4\n5\n6\n7\n8\n9 …"
    long = brief(error_text(error(hint="h" * 5_000)), str).hint
    assert long == "h" * HINT_CHARS_MAX + " …"
    assert brief(error_text(error(hint=" \n ")), str).hint is None


@pytest.mark.parametrize("before", [HINT_CHARS_MAX - 4, MESSAGE_CHARS_MAX - 4, 0])
def test_a_secret_at_the_cut_is_hidden_before_it(before: int) -> None:
    secret = "c0rrect-horse"
    text = "x" * before + secret
    found = brief(
        error_text(error(code=secret, message=text, hint=text)), lambda said: said.replace(secret, "***")
    )
    assert found.code == "operator-failed"
    assert "c0rr" not in f"{found.message} {found.hint}"


@pytest.mark.parametrize(
    "raised",
    [
        StopIteration(), StopIteration(Nasty()), SystemExit(3), SystemExit(Nasty()), GeneratorExit(),
        KeyboardInterrupt(), asyncio.CancelledError(), concurrent.futures.CancelledError(),
        BaseExceptionGroup("g", [KeyboardInterrupt(), BaseExceptionGroup("h", [SystemExit(1)])]),
    ],
)  # fmt: skip
def test_what_would_harm_more_than_its_attempt_is_contained(raised: BaseException) -> None:
    made = contained(raised)
    assert isinstance(made, SymphonyError)
    assert made.code == "operator-failed"
    assert made.__cause__ is raised


@pytest.mark.parametrize("raised", [ValueError("x"), TimeoutError(), StopAsyncIteration(), error()])
def test_ordinary_errors_stay_what_they_are(raised: Exception) -> None:
    assert contained(raised) is raised


def test_a_group_tells_what_is_in_it() -> None:
    group = ExceptionGroup("two", [ValueError("one"), ExceptionGroup("in", [KeyError("two")])])
    assert "ValueError: one" in error_text(group).message
    assert "KeyError: 'two'" in error_text(group).message


class Secretive(Exception):
    """Raises whatever anybody asks it."""

    def __getattribute__(self, name: str) -> object:
        raise SystemExit(name)


def of_nameless() -> Exception:
    """Of a class that raises whatever anybody asks it: not in the module, which pytest looks through."""

    class Nameless(type):
        def __getattribute__(cls, name: str) -> object:
            raise SystemExit(name)

    class OfNameless(Exception, metaclass=Nameless):
        pass

    return OfNameless("x")


class Closed(ExceptionGroup[Exception]):
    @property
    def exceptions(self) -> tuple[Exception, ...]:  # type: ignore[override]
        raise SystemExit


def nested(depth: int, each: int) -> Exception:
    error: Exception = ValueError("innermost")
    for _ in range(depth):
        error = ExceptionGroup("g", [error] * each)
    return error


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (Secretive, "Secretive"), (of_nameless, "error: x"), (lambda: Closed("g", [ValueError("in")]), "in"),
        (lambda: ExceptionGroup("g", [Secretive()]), "Secretive"),
        (lambda: nested(100_000, 1), "ExceptionGroup"), (lambda: nested(60, 5), "ExceptionGroup"),
        (lambda: nested(2, 2), "ValueError: innermost"),
    ],
    ids=["attributes", "metaclass", "members", "member", "deep", "wide", "flat"],
)  # fmt: skip
def test_an_error_that_hides_what_it_is_is_put_into_words_all_the_same(
    make: Callable[[], Exception], said: str
) -> None:
    raised = make()
    made = contained(raised)
    assert made is raised or type(made) is SymphonyError
    text = error_text(made)
    assert text.code == "operator-failed"
    assert said in text.message
    assert not is_interrupt(raised)


def raises() -> None:
    raise KeyboardInterrupt


def group() -> None:
    raise BaseExceptionGroup("g", [KeyboardInterrupt()])


@pytest.mark.parametrize("act", [raises, group])
def test_a_keyboard_interrupt_that_code_raises_itself_is_no_ctrl_c(act: Callable[[], None]) -> None:
    with pytest.raises(BaseException) as caught:
        act()
    assert not is_interrupt(caught.value)
