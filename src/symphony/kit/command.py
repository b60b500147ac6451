"""The operator behind `command:` nodes: one shell command."""

from collections.abc import Mapping
from typing import Literal, TypedDict

import msgspec

from symphony.commons.cutting import beginning, ending
from symphony.commons.environment import inherited, variable_of
from symphony.commons.lines import lines_of
from symphony.commons.marks import NODE_VARIABLE, RUN_VARIABLE, present_marks
from symphony.commons.processes import signal_named
from symphony.commons.terminal_text import visible
from symphony.ipc.lines import LineSplitter
from symphony.ipc.values import spelled
from symphony.kit.errors import CommandFailed, CommandNotStarted
from symphony.kit.processes import OUTPUT_BYTES_MAX, OnBytes, ProcessResult, run_process
from symphony.ports.outputs import OutputCut
from symphony.ports.values import Value
from symphony.sdk import Context, LogSink, operator

SHELL = ("/bin/sh", "-c")
_TAIL = 2000


class CommandOutput(TypedDict):
    """The output of a command."""

    stdout: str
    stderr: str
    exit_code: int


@operator("command", version="1.0.0")
async def command(command: str, context: Context, environment: dict[str, Value] = {}) -> CommandOutput:  # noqa: B006
    """Run a command with /bin/sh in the caller's directory.

    The command inherits Symphony's environment, without model keys and the variables that the workflow lists
    under `env`, unless an input reads them. The variables given here, SYMPHONY_RUN_ID and SYMPHONY_NODE are
    added. Its stdin is empty. Its output is kept whole, up to 64 MiB each of stdout and stderr. Beyond that
    the node fails once the command has ended, if something reads the port; else the port holds the first and
    the last MiB. Output is also shown line by line as it arrives. Bytes that are not UTF-8 become U+FFFD. A
    status other than 0 fails the node (`command-failed`). Processes that it leaves running in its process
    group are ended with it. Processes that left the group are ended with the run. When the node is cancelled
    or fails, all of them get SIGTERM, and SIGKILL two seconds later.

    command: the text for the shell
    environment: variables by name; names are upper-cased, dashes become underscores, and values
        that are not strings are written as JSON
    stdout: what it wrote to standard output
    stderr: what it wrote to standard error
    exit_code: always 0, since any other fails the node
    """
    if "\0" in command:
        raise CommandNotStarted("the command contains a null character", hint="remove it")
    ended = await run_process(
        (*SHELL, command),
        cwd=context.cwd,
        env=child_environment(environment, context),
        on_stdout=lines_to(context.log, "stdout"),
        on_stderr=lines_to(context.log, "stderr"),
        thorough=True,
        cuts=True,
    )
    stderr = ended.stderr.decode("utf-8", "replace")
    if ended.exit_code != 0:
        raise ended_badly(ended)
    output = CommandOutput(stdout=ended.stdout.decode("utf-8", "replace"), stderr=stderr, exit_code=0)
    if ended.cut:
        most = f"{OUTPUT_BYTES_MAX // (1024 * 1024)} MiB"
        too_much = f"{' and '.join(ended.cut)} of the command, which has ended with 0, exceeds {most}"
        context.log(f"{too_much}: the port holds the beginning and the end", "stderr")
        raise OutputCut(
            too_much,
            ports=ended.cut,
            outputs={"stdout": output["stdout"], "stderr": stderr, "exit_code": 0},
        )
    return output


def child_environment(inputs: Mapping[str, Value], context: Context) -> dict[str, str]:
    """Return the environment of a node's child process.

    Raises CommandNotStarted, naming the input, if two inputs map to the same variable or a value cannot be in
    an environment.
    """
    given: dict[str, str] = {}
    for name, value in inputs.items():
        variable = variable_of(name)
        if variable in given:
            raise CommandNotStarted(f"two inputs become the variable {variable}", hint="rename one of them")
        if not variable or "=" in variable or "\0" in variable:
            raise CommandNotStarted(f"{name!r} cannot name a variable", hint="use letters, digits and _")
        given[variable] = _text(name, value)
    return {**inherited(), **context.environment, **given, **_marks(context), **present_marks()}


def _marks(context: Context) -> dict[str, str]:
    return {RUN_VARIABLE: context.run_id, NODE_VARIABLE: context.node}


def lines_to(log: LogSink, stream: Literal["stdout", "stderr"]) -> OnBytes:
    """Passes bytes on to `log` as one or more whole lines at a time. Very long lines are cut into pieces."""
    return LineSplitter(lambda text: log(text, stream)).feed


def _text(name: str, value: Value) -> str:
    text = value if isinstance(value, str) else msgspec.json.encode(spelled(value)).decode()
    if "\0" in text:
        raise CommandNotStarted(
            f"input {name} contains a null character, which no variable can hold",
            hint="write the value to a file with fs.write and give its path",
        )
    return text


def ended_badly(ended: ProcessResult) -> CommandFailed:
    """Return the error for a command that exited with a status other than 0."""
    exit_code, stderr = ended.exit_code, ended.stderr.decode("utf-8", "replace")
    how = (
        f"the command was killed by {signal_named(-exit_code)}"
        if exit_code < 0
        else f"the command exited with {exit_code}"
    )
    seen = (visible(line).strip() for line in reversed(lines_of(ending(stderr, _TAIL))))
    last = next(filter(None, seen), "")
    return CommandFailed(
        f"{how}: {beginning(last, 200)}" if last else how,
        details={"exit_code": exit_code, "stderr": ending(stderr, _TAIL)},
    )
