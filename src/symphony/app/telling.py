"""Notifies of the end of runs as their workflow asks: `on_finish`, a command or a URL.

It is notified once the end is durable and the run has been released, so that the receiver finds the run
as it ended. A note in the home stays until then: after a kill, `resume` sends what is left.
"""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import msgspec

from symphony.app.parts import Parts
from symphony.app.preparing import Prepared
from symphony.commons.cutting import beginning, ending
from symphony.commons.environment import inherited, withholding
from symphony.commons.errors import SymphonyError
from symphony.commons.lines import lines_of
from symphony.commons.logging import logger
from symphony.commons.marks import marking, marks_of
from symphony.pit.tracker.store.runs import end_escaped
from symphony.pit.tracker.store.untold import Untold
from symphony.ports.runs import ENDED, RunResult, RunWarning
from symphony.workflow.model import OnFinish

if TYPE_CHECKING:
    from symphony.kit.processes import ProcessResult

SECONDS_MAX: Final = 30.0
"""The longest time that a notification may take."""
_ERROR_CHARS_MAX: Final = 8_000
_OUTPUT_CHARS_MAX: Final = 8_000
_LINES_MAX: Final = 5
_LINE_CHARS_MAX: Final = 200

log = logger(__name__)


class RunEnding(msgspec.Struct, frozen=True, kw_only=True):
    """The content of a notification about the end of a run; `error` is masked, and None if the run did
    not fail.
    """

    run: str
    workflow: str
    status: str
    error: str | None = None

    @classmethod
    def of(cls, prepared: Prepared, result: RunResult) -> "RunEnding":
        """Return how a run ended."""
        error, told = result.error, None
        if error is not None:
            text = error.message if error.node is None else f"{error.node}: {error.message}"
            told = prepared.sealer.mask(text).replace("\0", "\ufffd")[:_ERROR_CHARS_MAX]
        job = prepared.job
        return cls(run=job.run_id, workflow=job.workflow.name, status=str(result.status), error=told)

    def variables(self) -> dict[str, str]:
        """Return what a command has of it in its environment."""
        told = {"RUN": self.run, "WORKFLOW": self.workflow, "STATUS": self.status, "ERROR": self.error or ""}
        return {name: text.replace("\0", "\ufffd") for name, text in told.items()}


class Telling:
    """Tells of the end of one run, at most once in this process. Use from the run's loop."""

    def __init__(self, parts: Parts, prepared: Prepared, untold: Untold | None) -> None:
        """Without `untold` nobody else could do it: a run in memory."""
        self._parts, self._prepared, self._untold = parts, prepared, untold
        self.warn: Callable[[RunWarning], None] | None = None
        """Gets what goes wrong; without it, that is logged."""
        self._task: asyncio.Task[None] | None = None
        self._stopped = False

    async def begin(self) -> None:
        """Note that there is something to tell. Raises OSError."""
        if self._untold is not None:
            await asyncio.to_thread(self._untold.leave)

    def stop(self) -> None:
        """This process is to end: tell no more, and leave it to another if there can be one."""
        self._stopped = True
        if self._task is not None:
            self._task.cancel()

    async def tell(self, result: RunResult) -> None:
        """Tell of the end of the run, if it has ended. Whatever goes wrong is a warning."""
        if result.status not in ENDED:
            return
        if self._stopped and self._untold is not None:
            await self._warn("was not told, for this process is to end")
            return
        if self._untold is not None and not await asyncio.to_thread(self._untold.take):
            return
        told = False
        self._task = asyncio.get_running_loop().create_task(self._told(result), name="on_finish")
        try:
            await asyncio.wait({self._task})
            told = not self._task.cancelled()
            if told and (error := self._task.exception()) is not None:
                await self._warn(self._why(error), again=False, output=_last_lines(error))
            elif not told:
                await self._warn("was stopped")
        finally:
            self._task.cancel()
            if self._untold is not None:
                self._untold.done(told=told)

    def _why(self, error: BaseException) -> str:
        if isinstance(error, TimeoutError):
            return f"took more than {SECONDS_MAX:g} seconds and was ended"
        error = error.error if isinstance(error, _CommandEnded) else error
        said = error.message if isinstance(error, SymphonyError) else f"{type(error).__name__}: {error}"
        return f"failed: {said}"

    async def _warn(self, what: str, *, again: bool = True, output: str = "") -> None:
        run, mask = self._prepared.meta.name or self._prepared.job.run_id, self._prepared.sealer.mask_cut
        resume = f"symphony runs resume {run} tells it" if again and self._untold is not None else None
        if self.warn is None:
            more = "" if resume is None else f"; {resume}"
            log.warning(mask(f"on_finish of run {run} {what}{more}"))
            return
        sources = self._prepared.job.sources
        place = None if sources is None else await asyncio.to_thread(sources.of_key, "on_finish")
        lines = [line for line in lines_of(mask(output)) if line.strip()][-_LINES_MAX:]
        message = mask(f"on_finish {what}")
        if len(lines) == 1 and message.endswith(lines[0].strip()):
            lines = []  # the message says it
        self.warn(
            RunWarning(
                code="on-finish-failed", message=message, hint=resume, place=place,
                output=[beginning(line, _LINE_CHARS_MAX) for line in lines],
            )
        )  # fmt: skip

    async def _told(self, result: RunResult) -> None:
        what, ending = self._prepared.job.workflow.on_finish, RunEnding.of(self._prepared, result)
        assert what is not None
        if self._parts.on_finish is not None:
            self._parts.on_finish(what, ending.variables())
            return
        async with asyncio.timeout(SECONDS_MAX):
            if what.command is not None:
                await self._run(what.command, ending)
            elif what.url is not None:
                await self._post(what.url, ending)

    async def _run(self, command: str, ending: RunEnding) -> None:
        from symphony.kit.command import SHELL, ended_badly
        from symphony.kit.processes import run_process

        job = self._prepared.job
        withheld = frozenset(job.environment) | self._parts.config.key_names
        marks = marks_of(job.run_id, self._parts.home)
        try:
            with withholding(withheld), marking(marks):
                variables = {**inherited(), **ending.variables()}
                done = await run_process((*SHELL, command), cwd=job.cwd, env=variables, thorough=True)
        finally:
            await asyncio.shield(asyncio.to_thread(end_escaped, marks))
        if done.exit_code != 0:
            raise _CommandEnded(done, ended_badly(done))

    async def _post(self, url: str, ending: RunEnding) -> None:
        from symphony.kit.http import request
        from symphony.sdk import Context

        job = self._prepared.job
        context = Context(
            run_id=job.run_id, node="on_finish", attempt=1, cwd=job.cwd, base=job.base, log=lambda *_: None,
            cancelled=lambda: False, allowed_hosts=hosts_of(self._parts, self._prepared),
        )  # fmt: skip
        told = {name: getattr(ending, name) for name in ending.__struct_fields__}
        await request.original(url, context, json=told, seconds=SECONDS_MAX)


class _CommandEnded(Exception):
    """A command ended badly: how, and why in words."""

    def __init__(self, done: "ProcessResult", error: SymphonyError) -> None:
        super().__init__(error.message)
        self.error = error
        self.printed = done.stderr if done.stderr.strip() else done.stdout


def _last_lines(error: BaseException) -> str:
    """Return the end of the output of a command that failed, on stderr or else on stdout."""
    if not isinstance(error, _CommandEnded):
        return ""
    return ending(error.printed.decode("utf-8", "replace"), _OUTPUT_CHARS_MAX)


def hosts_of(parts: Parts, prepared: Prepared) -> tuple[str, ...]:
    """Return the hosts that a run may ask."""
    return (*parts.config.http.allow, *prepared.meta.allow_hosts)


def check_finish_host(what: OnFinish | None, patterns: tuple[str, ...]) -> None:
    """Raise HostRefused if the end of a run is to be told to a host that the run may not ask."""
    if what is None or what.url is None:
        return
    from urllib.parse import urlsplit

    from symphony.kit.hosts import Allowed, HostRefused

    parts = urlsplit(what.url)
    try:
        Allowed.of(patterns).check_host(parts.scheme.lower(), parts.hostname or "", parts.port)
    except HostRefused as error:
        raise HostRefused(f"on_finish.url: {error.message}", hint=error.hint) from None
