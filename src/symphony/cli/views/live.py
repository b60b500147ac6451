"""The live view of a run, as lines for a terminal of any size. Pure but for the clock."""

import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from symphony.cli.console import output
from symphony.cli.console.signs import SIGNS
from symphony.cli.console.terminal import Line
from symphony.cli.console.wrapping import wrapped
from symphony.cli.views.watching import ProgressView, answer_commands, line_of, waiting_text
from symphony.commons.widths import columns
from symphony.ports.insight import FanOutProgress, OpenQuestion, QueueProgress
from symphony.ports.runs import NodeStatus, titled

ROWS_MAX: Final = 16
_FAILURES_MAX: Final = 4
_LATEST_MAX: Final = 3
_QUESTIONS_MAX: Final = 3
_QUESTION_LINES_MAX: Final = 6
_BAR: Final = (6, 30)
_WINDOW_S: Final = 30.0
_SAMPLE_S: Final = 1.0
_TOLD_AFTER_S: Final = 2.0
"""Seconds for which a fan-out must have been seen before its remaining time is told."""
_ANSWERS: Final = ("y/n, with a comment if you like; Enter leaves it waiting: ", "y/n, comment: ", "y/n: ")
_TYPED_LEAST: Final = 12
"""Columns for what is typed."""


@dataclass(frozen=True, slots=True)
class PutQuestion:
    """The question that may be answered here: what has been typed, and what was wrong with what was."""

    node: str
    typed: str = ""
    hint: str = ""


class FanOutPace:
    """The pace at which the elements of a fan-out end, as seen in the last half a minute."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def note(self, now_s: float, done: int) -> None:
        """Note how many elements have ended by now."""
        if self._seen and done < self._seen[-1][1]:  # another round of a loop
            self._seen.clear()
        if not self._seen or now_s - self._seen[-1][0] >= _SAMPLE_S:
            self._seen.append((now_s, done))
        while len(self._seen) > 2 and now_s - self._seen[1][0] >= _WINDOW_S:
            self._seen.popleft()

    def left_s(self, now_s: float, fan: FanOutProgress) -> float | None:
        """Return how long the others will take, or None while that cannot be told."""
        since, before = self._seen[0] if self._seen else (now_s, fan.done)
        took, done = now_s - since, fan.done - before
        if took < _TOLD_AFTER_S or done <= 0:
            return None
        return (fan.count - fan.done) * took / done


class Board:
    """The content of the view: always the present state."""

    def __init__(self, title: str, run: str) -> None:
        self.title, self.run = title, run
        self._now: ProgressView | None = None
        self._seen_s = time.monotonic()
        self._paces: dict[str, FanOutPace] = {}
        self._state: object = None

    def see(self, progress: ProgressView) -> bool:
        """Take the present state; return whether anything has changed but the time that things take."""
        self._now, self._seen_s = progress, time.monotonic()
        for fan in progress.fans:
            self._paces.setdefault(fan.name, FanOutPace()).note(self._seen_s, fan.done)
        before = self._state
        self._state = (
            progress.nodes, progress.fans, [name for name, _ in progress.slowest], dict(progress.saying),
            progress.failed, [event.seq for event in progress.latest],
            [question.node for question in progress.questions],
            [(queue.first, queue.count, queue.before) for queue in progress.queues],
        )  # fmt: skip
        return self._state != before

    def lines(
        self, width: int, height: int, *, unicode: bool, put: "PutQuestion | None" = None
    ) -> tuple[list[Line], int | None]:
        """Return the lines, and the column of the cursor in the last one where a question is `put` here."""
        now = self._now
        if now is None:
            return [], None
        room = max(10, width - 1)
        took = output.duration(now.took_s + time.monotonic() - self._seen_s)
        lines = [
            _row(self.title, took, room, "bold"),
            _indented(self._counts(now, room - 2, unicode=unicode)),
        ]
        asking, cursor = self._asking(now, room, put, unicode=unicode)
        spare = max(1, height - 1 - len(lines) - len(asking))
        rows = list(self._rows(now, min(spare, ROWS_MAX + 4), room - 2, unicode=unicode))
        return [*lines, *(_indented(row) for row in rows[:spare]), *asking], cursor

    # ---- inside -----------------------------------------------------------------------------

    @staticmethod
    def _counts(now: ProgressView, room: int, *, unicode: bool) -> Line:
        there = [(status, number) for status in SIGNS if (number := now.nodes.get(status))]
        signs = [f"{SIGNS[status].on(unicode=unicode)} {number:,}" for status, number in there]
        texts = [f"{sign} {status}" for sign, (status, _) in zip(signs, there, strict=True)]
        if columns("  ".join(texts)) > room:
            texts = signs
        gaps = ["", *["  "] * (len(texts) - 1)]
        pieces = [(gap + text, SIGNS[status].colour)
                  for gap, text, (status, _) in zip(gaps, texts, there, strict=False)]  # fmt: skip
        return Line(pieces or [("starting", "dim")])

    def _rows(self, now: ProgressView, spare: int, room: int, *, unicode: bool) -> Iterator[Line]:
        """Fan-outs, what runs, what failed, what is done: of each as much as there is room for."""
        failures = now.failures[: min(_FAILURES_MAX, spare // 4)]
        latest = now.latest[-min(_LATEST_MAX, spare // 6) or len(now.latest) :]
        left = min(ROWS_MAX, max(1, spare - len(failures) - len(latest) - bool(now.failed > len(failures))))
        fans = now.fans[: max(1, left // 2)]
        for fan in fans:
            yield self._fan(fan, room, unicode=unicode)
        left -= len(fans)
        queues = now.queues[: max(1, left // 3)]
        yield from self._running(now, left - len(queues), room, unicode=unicode)
        for queue in queues:
            yield self._queue(queue, room, unicode=unicode)
        for event in failures:
            yield _row(
                f"{SIGNS[NodeStatus.FAILED].on(unicode=unicode)} {line_of(event) or ''}", "", room, "red"
            )
        if failures and now.failed > len(failures):
            yield _row(f"and {now.failed - len(failures):,} more failed", "", room, "red")
        for event in latest:
            done = SIGNS[NodeStatus.SUCCEEDED].on(unicode=unicode)
            yield _row(f"{done} {line_of(event) or ''}", "", room, "dim")

    @staticmethod
    def _running(now: ProgressView, left: int, room: int, *, unicode: bool) -> Iterator[Line]:
        sign, shown, rows = SIGNS[NodeStatus.RUNNING].on(unicode=unicode), 0, 0
        running = now.counts.get(NodeStatus.RUNNING, 0)
        more = int(running > len(now.slowest) or running > left)
        for name, seconds in now.slowest:
            if rows >= left - more:
                break
            title = titled(name, now.labels.get(name))
            if name in now.tries:
                title += " (try {} of {})".format(*now.tries[name])
            yield _row(f"{sign} {title}", output.duration(seconds), room, "blue")
            rows, shown = rows + 1, shown + 1
            if rows < left - more and (said := now.saying.get(name)):
                yield _row(f"  {_last(said, room - 6)}", "", room, "dim")
                rows += 1
        if shown and running > shown and rows < left:
            yield _row(f"and {running - shown:,} more running", "", room, "dim")

    @staticmethod
    def _queue(queue: QueueProgress, room: int, *, unicode: bool) -> Line:
        """`○ embed[3] and 41 others: queued for model minilm: all 2 places are taken, 2 before it`."""
        sign, others = SIGNS[NodeStatus.PENDING].on(unicode=unicode), queue.count - 1
        many = f" and {others:,} other{'s' if others > 1 else ''}" if others else ""
        waits = waiting_text(f"{queue.kind} {queue.resource}", queue.reason, queue.before)
        return _row(f"{sign} {titled(queue.first, queue.label)}{many}: queued for {waits}", "", room, "dim")

    def _fan(self, fan: FanOutProgress, room: int, *, unicode: bool) -> Line:
        """`● embed 131/554 ━━━━━━────── 12 s left`."""
        sign = SIGNS[NodeStatus.RUNNING].on(unicode=unicode)
        count = f" {fan.done:,}/{fan.count:,} "
        failed = f" {fan.failed:,} failed" if fan.failed else ""
        pace = self._paces.get(fan.name)
        left = None if pace is None else pace.left_s(time.monotonic(), fan)
        told = "" if left is None else f" {_rounded(left)} left"
        name = output.shown(titled(fan.name, fan.label))
        fixed = columns(sign) + 1 + len(count) + len(failed) + len(told)
        name = output.brief(name, max(4, room - fixed - _BAR[0]))
        bar = min(_BAR[1], room - fixed - columns(name))
        if bar < _BAR[0]:
            bar = 0
        full = bar * fan.done // fan.count if fan.count else bar
        done, rest = ("━", "─") if unicode else ("=", "-")
        return Line([
            (f"{sign} {name}{count}", "blue"), (done * full, "blue"), (rest * (bar - full), "dim"),
            (failed, "red"), (told, ""),
        ])  # fmt: skip

    def _asking(
        self, now: ProgressView, room: int, put: "PutQuestion | None", *, unicode: bool
    ) -> tuple[list[Line], int | None]:
        lines: list[Line] = []
        sign = SIGNS[NodeStatus.WAITING].on(unicode=unicode)
        questions = sorted(now.questions, key=lambda one: put is not None and one.node != put.node)
        for at, question in enumerate(questions[:_QUESTIONS_MAX]):
            most = _QUESTION_LINES_MAX if at == 0 else 1
            texts = wrapped(f"{sign} {titled(question.node, question.label)}: {question.text}", room, most)
            lines += [Line([(text, "yellow")]) for text in texts]
            if at == 0:
                lines += self._answers(question, room)
        if (more := len(now.questions) - _QUESTIONS_MAX) > 0:
            lines.append(Line([(f"and {more:,} more ask", "yellow")]))
        if put is None or not questions:
            return lines, None
        which = f"{output.brief(put.node, max(8, room // 4))}: " if len(questions) > 1 else ""
        labels = (f"{which}{answer}" for answer in _ANSWERS)
        label = next((one for one in labels if columns(one) + _TYPED_LEAST <= room), _ANSWERS[-1])
        if put.hint:
            lines.append(Line([(put.hint, "red")]))
        end = _last_columns(put.typed, room - columns(label) - 1) if put.typed else ""
        lines.append(Line([(label, "bold"), (end, "")]))
        return lines, columns(label) + columns(output.shown(end))

    def _answers(self, question: OpenQuestion, room: int) -> Iterator[Line]:
        yes, no = answer_commands(self.run, question.node)
        if len(yes) + len(no) + 8 <= room:
            yield Line([(f"  {yes}  or  {no.removeprefix('symphony runs ')}", "dim")])
        else:
            yield from (Line([(text, "dim")]) for text in wrapped(f"  {yes}", room, 3))
        if question.left_s is not None:
            yield Line([(f"  an answer counts for {_rounded(question.left_s)} more", "dim")])


def _rounded(seconds: float) -> str:
    """Return a time that is only guessed: no fractions."""
    whole = max(1, round(seconds))
    return f"{whole} s" if whole < 60 else output.duration(whole)


def _indented(line: Line) -> Line:
    return Line([("  ", ""), *line.pieces])


def _row(text: str, more: str, room: int, style: str) -> Line:
    """One line of at most `room` columns that ends with `more`."""
    short = output.brief(text, max(4, room - len(more) - 2))
    return Line([(short, style), (f"  {more}", "")] if more else [(short, style)])


def _last_columns(text: str, room: int) -> str:
    """Return the end of a text, at most `room` columns of it."""
    while text and columns(output.shown(text)) > max(4, room):
        text = text[1:]
    return text


def _last(said: str, room: int) -> str:
    """Return the end of a model's answer so far, on one line of at most `room` columns."""
    return _last_columns(" ".join(output.shown(said).split())[-400:], room)
