"""What goes wrong inside the operators of the kit."""

from symphony.commons.errors import SymphonyError


class InputRefused(SymphonyError):
    """An input has the right type, but the operator cannot work with it; the message names it."""

    code = "bad-input"


class OutputTooLarge(SymphonyError):
    """What an operator would return exceeds its bound."""

    code = "limit-exceeded"


class CommandFailed(SymphonyError):
    """A command ended with another status than 0. `details`: `exit_code`, `stderr` (its end)."""

    code = "command-failed"


class CommandNotStarted(SymphonyError):
    """A command could not be started at all."""

    code = "command-not-started"


class GitFailed(SymphonyError):
    """git is missing, or refused; the message holds what it said."""

    code = "git-failed"


class GitMissing(GitFailed):
    """git cannot be started."""


class NotARepository(GitFailed):
    """The folder is in no git repository."""

    code = "not-a-repository"


class TemplateFailed(SymphonyError):
    """A template is missing, malformed or failed while it was rendered; names file and line."""

    code = "template-failed"


class DebugFailure(SymphonyError):
    """What `debug.fail` and `debug.flaky` raise."""

    code = "debug-fail"


class Stopped(SymphonyError):
    """A thread found that its node was cancelled; nobody waits for its answer."""

    code = "cancelled"
