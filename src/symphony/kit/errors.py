"""Errors of the kit's operators."""

from symphony.commons.errors import SymphonyError


class InputRefused(SymphonyError):
    """An input has the right type, but the operator cannot use its value. The message names the input."""

    code = "bad-input"


class OutputTooLarge(SymphonyError):
    """What an operator would return exceeds its size limit."""

    code = "limit-exceeded"


class CommandFailed(SymphonyError):
    """A command exited with a status other than 0. `details`: `exit_code`, `stderr` (its end)."""

    code = "command-failed"


class CommandNotStarted(SymphonyError):
    """A command could not be started at all."""

    code = "command-not-started"


class GitFailed(SymphonyError):
    """git is missing, or refused. The message contains what it said."""

    code = "git-failed"


class GitMissing(GitFailed):
    """git cannot be started."""


class NotARepository(GitFailed):
    """The folder is not in a git repository."""

    code = "not-a-repository"


class TemplateFailed(SymphonyError):
    """A template is missing or malformed, or failed while rendering. The message names file and line."""

    code = "template-failed"


class DebugFailure(SymphonyError):
    """Raised by `debug.fail` and `debug.flaky`."""

    code = "debug-fail"


class Stopped(SymphonyError):
    """A thread found that its node was cancelled. Nobody waits for its result."""

    code = "cancelled"
