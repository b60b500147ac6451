"""Where in its author's code an exception was raised."""

import asyncio
import json
import traceback
from pathlib import Path

import pytest

from symphony.commons import raised_places
from symphony.commons.errors import SymphonyError
from symphony.commons.raised import contained, error_text
from symphony.commons.raised_places import place_of, traceback_text
from symphony.workflow.documents import format_named


def _raised(work: object) -> BaseException:
    assert callable(work)
    try:
        work()
    except BaseException as error:  # noqa: BLE001  (that is the point)
        return error
    raise AssertionError


def deep() -> float:
    return 1 / 0


def shallow() -> float:
    return deep()


def reading() -> object:
    return json.loads("{")


def _line(function: object, offset: int = 1) -> int:
    return int(function.__code__.co_firstlineno) + offset  # type: ignore[attr-defined]  # a function


def test_the_place_is_the_innermost_line_of_the_author() -> None:
    assert place_of(_raised(shallow)) == f"{__file__}:{_line(deep)} in deep"


def test_what_a_library_raises_is_placed_where_the_author_called_it() -> None:
    assert place_of(_raised(reading)) == f"{__file__}:{_line(reading)} in reading"


def test_an_error_without_a_line_of_the_author_has_no_place() -> None:
    assert place_of(ValueError("never raised")) is None
    error = _raised(lambda: format_named("nope"))
    assert isinstance(error, SymphonyError)
    assert error_text(error).message == "there is no format 'nope'"


def test_the_text_of_an_error_begins_with_its_place() -> None:
    told = error_text(_raised(shallow))
    assert told.message == f"{__file__}:{_line(deep)} in deep: ZeroDivisionError: division by zero"


def leaving() -> None:
    raise SystemExit(3)


def cancelling() -> None:
    raise asyncio.CancelledError


@pytest.mark.parametrize("function", [leaving, cancelling])
def test_what_would_end_more_than_the_attempt_is_placed_too(function: object) -> None:
    assert str(contained(_raised(function))).startswith(f"{__file__}:{_line(function)} in ")


class Closed(Exception):
    """Whoever looks at it gets an error."""

    def __getattribute__(self, name: str) -> object:
        raise RuntimeError(name)


def test_an_error_that_cannot_be_looked_at_has_no_place() -> None:
    assert place_of(Closed()) is None


def test_a_file_that_was_loaded_is_named_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "ops.py"
    scope: dict[str, object] = {}
    exec(compile("def f():\n    x = {}\n    return x['a']\n", str(file), "exec"), scope)
    assert place_of(_raised(scope["f"])) == f"{file}:3 in f"


def test_only_errors_that_nobody_made_for_people_have_a_traceback() -> None:
    text = traceback_text(_raised(shallow))
    assert text is not None
    assert text.endswith("ZeroDivisionError: division by zero")
    assert traceback_text(SymphonyError("said", code="x")) is None


def raised(number: int, cause: Exception | None = None) -> Exception:
    try:
        raise ValueError(f"number {number}") from cause
    except ValueError as error:
        error.add_note("a note")
        return error


def test_each_error_from_one_place_has_its_own_words_and_what_python_says_of_the_place() -> None:
    errors = [raised(number) for number in range(3)] + [
        raised(3, raised(4)),
        ExceptionGroup("g", [raised(5)]),
    ]
    for error in errors:
        assert traceback_text(error) == "".join(traceback.format_exception(error)).rstrip("\n")


def test_the_source_of_a_place_is_read_once_for_all_that_fail_there(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    real = traceback.format_tb
    monkeypatch.setattr(traceback, "format_tb", lambda link: asked.append(link) or real(link))
    monkeypatch.setattr(raised_places, "_stacks", {})
    for number in range(100):
        assert f"number {number}" in str(traceback_text(raised(number)))
    assert len(asked) == 1
