"""The `symphony` command: finds the command, runs it, and turns whatever happens into words."""

import os
import sys
from collections.abc import Sequence
from typing import Final

import click

from symphony.cli.console import exits, output
from symphony.cli.lazy import LazyGroup
from symphony.commons.collector import seldom_collected
from symphony.commons.prompting import prompt_with

PROGRAM: Final = "symphony"
COMPLETE_VARIABLE: Final = "_SYMPHONY_COMPLETE"


def _show_version(ctx: click.Context, _param: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        from symphony import __version__

        output.say(f"{PROGRAM} {__version__}\n")
        ctx.exit()


@click.group(name=PROGRAM, cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_show_version,
    help="Print the version and exit.",
)  # fmt: skip
@click.option(
    "--debug", is_flag=True, expose_value=False,
    help="Print the Python traceback of the error that ends the command; may stand anywhere on the "
    "command line. Tracebacks of nodes are in `symphony runs logs`.",
)  # fmt: skip
def root() -> None:
    """Run workflows of AI models, operators and commands: checked first, in parallel, durably.

    Results go to stdout, progress and errors to stderr. Exit statuses: 0 succeeded, 1 failed,
    2 bad usage or invalid workflow, 3 cancelled from elsewhere, 4 waiting for a person, 70 a bug in
    Symphony; 130, 143 and 129: stopped by Ctrl-C, SIGTERM and SIGHUP (`symphony runs resume` goes on).
    """


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line (default: this process's) and return its exit status."""
    output.prepare()
    prompt_with(_passphrase)
    words = list(sys.argv[1:] if arguments is None else arguments)
    end = words.index("--") if "--" in words else len(words)
    debug = "--debug" in words[:end]
    words = [word for at, word in enumerate(words) if at >= end or word != "--debug"]
    try:
        with seldom_collected:  # what a command imports stays
            status = _invoke(words)
        _flush()
    except BrokenPipeError:
        status = _pipe_broken()
    except KeyboardInterrupt:
        status = stopped()
    except Exception as error:  # noqa: BLE001  (the edge of the program: everything ends as words)
        status = stopped() if _was_stopped(error) else _explained(error, words, debug=debug)
    return status


def _passphrase(new: bool) -> str | None:
    from symphony.cli.console import asking

    return asking.passphrase(new)


def _was_stopped(error: Exception) -> bool:
    """Return whether Ctrl-C came while a class was made: before Python 3.12 a RuntimeError hides it."""
    return isinstance(error, RuntimeError) and isinstance(error.__cause__, KeyboardInterrupt)


def stopped() -> int:
    """Ctrl-C while nothing runs that could go on: the exit status."""
    output.note("interrupted")
    return exits.INTERRUPTED


def _invoke(words: list[str]) -> int:
    if instruction := os.environ.get(COMPLETE_VARIABLE):
        from click.shell_completion import shell_complete

        return shell_complete(root, {}, PROGRAM, COMPLETE_VARIABLE, instruction)
    try:
        with root.make_context(PROGRAM, words) as context:
            status = root.invoke(context)
            return status if isinstance(status, int) else exits.OK
    except click.exceptions.Exit as leave:
        return leave.exit_code
    except click.exceptions.NoArgsIsHelpError as bare:
        output.note(bare.format_message())
        return bare.exit_code
    except click.Abort:
        output.note("aborted")
        return exits.FAILED
    except click.ClickException as misuse:
        return _misused(misuse, words)


def _misused(misuse: click.ClickException, words: Sequence[str]) -> int:
    """Bad usage: click's message in our block, and where the help is."""
    from symphony.cli.console.failures import BadUsage

    hint = f"see `{PROGRAM} --help`"
    if isinstance(misuse, click.UsageError) and misuse.ctx is not None:
        spaces = "write KEY=VALUE, without spaces around the =\n" if "=" in words else ""
        hint = f"{spaces}{misuse.ctx.get_usage()}\nsee `{misuse.ctx.command_path} --help`"
    message = " ".join(misuse.format_message().split())
    return _explained(BadUsage(message, hint=hint), words, debug=False)


def _explained(error: Exception, words: Sequence[str], *, debug: bool) -> int:
    from symphony.cli.console.failures import Manner, explain

    try:
        status = explain(error, Manner(json="--json" in words, debug=debug))
        _flush()
    except BrokenPipeError:
        return _pipe_broken()
    except OSError:  # stdout is full or gone; stderr has the words already
        _abandon_stdout()
        return exits.FAILED
    return status


def _flush() -> None:
    """Write out what is buffered now, while a full disk can still be reported."""
    try:
        output.flush()
    except OSError:
        _abandon_stdout()
        raise


def _pipe_broken() -> int:
    """The reader of our output has gone: end quietly, as programs do."""
    _abandon_stdout()
    return exits.BROKEN_PIPE


def _abandon_stdout() -> None:
    """Keep the interpreter from trying, and failing, to flush stdout once more at its exit."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1 if sys.stdout is None else sys.stdout.fileno())
        os.close(nowhere)
    except (OSError, ValueError):
        pass
