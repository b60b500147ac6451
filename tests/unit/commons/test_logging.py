import asyncio
import io
import json
import logging
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from symphony.commons.errors import IoFailed
from symphony.commons.logging import ROOT, LoggingConfig, init_logging, log_fields, logger
from symphony.commons.secrets import Secret


@pytest.fixture(autouse=True)
def _quiet_afterwards() -> Iterator[None]:
    yield
    init_logging(LoggingConfig(console="off"))
    logging.getLogger(ROOT).propagate = True


def console(form: str = "json", **more: object) -> io.StringIO:
    stream = io.StringIO()
    init_logging(LoggingConfig(console=form, level="info", **more), stream=stream)  # type: ignore[arg-type]
    return stream


def lines(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_json_line_carries_event_level_logger_time_and_fields() -> None:
    stream = console()
    logger("symphony.pit").info("node 100% done", node="parse", attempts=2)
    (line,) = lines(stream.getvalue())
    assert str(line.pop("timestamp")).endswith("Z")
    assert line == {
        "event": "node 100% done",
        "level": "info",
        "logger": "symphony.pit",
        "node": "parse",
        "attempts": 2,
    }


def test_a_level_that_was_not_asked_for_is_not_written() -> None:
    stream = console()
    logger("symphony.x").debug("quiet")
    logger("symphony.x").warning("loud")
    assert [line["event"] for line in lines(stream.getvalue())] == ["loud"]


def test_lines_of_the_standard_library_come_too() -> None:
    stream = console()
    logging.getLogger("symphony.y").error("failed %s", "twice")
    assert lines(stream.getvalue())[0]["event"] == "failed twice"


async def test_fields_of_a_block_reach_its_tasks_and_end_with_it() -> None:
    stream = console()
    log = logger("symphony.x")

    async def inside() -> None:
        log.info("inside", node="a")

    with log_fields(run_id="r1"):
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(inside())
    log.info("outside")
    first, second = lines(stream.getvalue())
    assert (first["run_id"], first["node"]) == ("r1", "a")
    assert "run_id" not in second


def test_a_field_cannot_forge_what_the_record_says() -> None:
    stream = console()
    logger("symphony.x").info("true", level="fake", timestamp="fake", logger="fake")
    (line,) = lines(stream.getvalue())
    assert (line["level"], line["level_"], line["logger"], line["logger_"]) == (
        "info",
        "fake",
        "symphony.x",
        "fake",
    )


def test_secrets_are_masked_by_type_and_by_name() -> None:
    for form in ("json", "text"):
        stream = console(form)
        logger("symphony.x").info("login", value=Secret("hunter2"), api_key="hunter2", Password="hunter2")
        assert "hunter2" not in stream.getvalue()
        assert "***" in stream.getvalue()


@pytest.mark.parametrize("form", ["json", "text"])
def test_one_event_is_one_line_and_moves_no_cursor(form: str) -> None:
    stream = console(form)
    logger("symphony.x").info("a\n\x1b[2Jb", field="c\nd\x1b[2J")
    assert stream.getvalue().count("\n") == 1
    assert "\x1b" not in stream.getvalue()


@pytest.mark.parametrize("form", ["json", "text"])
def test_a_traceback_is_told_without_local_variables(form: str) -> None:
    stream = console(form)
    try:
        token = "hunter2"
        raise KeyError(len(token))
    except KeyError:
        logger("symphony.x").error("failed", exc_info=True)
    assert "KeyError" in stream.getvalue()
    assert "= 'hunter2'" not in stream.getvalue()


def test_a_file_rotates_keeps_its_backups_and_is_its_owners_alone(tmp_path: Path) -> None:
    file = tmp_path / "logs" / "symphony.log"
    small = LoggingConfig(console="off", level="info", file=str(file), file_bytes_max=1024, file_backups=2)
    init_logging(small)
    for number in range(60):
        logger("symphony.x").info("line", number=number)
    kept = sorted(path.name for path in file.parent.iterdir())
    assert kept == ["symphony.log", "symphony.log.1", "symphony.log.2", "symphony.log.lock"]
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in file.parent.iterdir())
    assert lines(file.read_text())[-1]["number"] == 59


def test_two_writers_of_one_file_lose_no_line_when_one_rotates(tmp_path: Path) -> None:
    from symphony.commons.log_files import SharedRotatingFile

    file = tmp_path / "a.log"
    writers = [SharedRotatingFile(str(file), bytes_max=1024, backups=50) for _ in range(2)]
    for number in range(100):
        record = logging.LogRecord("x", logging.INFO, "f", 1, f"{number:>50}", None, None)
        writers[number % 2].handle(record)
    for writer in writers:
        writer.close()
    written = "".join(path.read_text() for path in tmp_path.glob("a.log*") if path.suffix != ".lock")
    assert sorted(int(line) for line in written.splitlines()) == list(range(100))


def test_a_log_file_that_was_deleted_is_made_again(tmp_path: Path) -> None:
    file = tmp_path / "a.log"
    init_logging(LoggingConfig(console="off", level="info", file=str(file)))
    logger("symphony.x").info("one")
    file.unlink()
    logger("symphony.x").info("two")
    assert [line["event"] for line in lines(file.read_text())] == ["two"]


def test_a_log_that_cannot_be_written_is_said_once_and_stops_nobody(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "logs"
    init_logging(LoggingConfig(console="off", level="info", file=str(folder / "a.log")))
    (folder / "a.log").unlink()
    folder.rmdir()
    for _ in range(3):
        logger("symphony.x").info("lost")
    assert capsys.readouterr().err.count("warning: cannot log to") == 1


def test_a_file_that_cannot_be_opened_is_an_error_and_changes_nothing(tmp_path: Path) -> None:
    stream = console()
    with pytest.raises(IoFailed, match="cannot log to"):
        init_logging(LoggingConfig(file=str(tmp_path)))
    logger("symphony.x").info("still here")
    assert "still here" in stream.getvalue()
