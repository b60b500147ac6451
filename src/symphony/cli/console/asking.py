"""Asking before something is deleted: on a terminal only, so that scripts are not held up."""

import sys
from typing import Final

from symphony.cli.console import output

_LOOK_EVERY_S: Final = 0.2
"""A Ctrl-C that comes in the moment before the wait begins is noticed so much later."""


def asks(*, yes: bool) -> bool:
    """True if there is a person to ask, who has not said `yes` on the command line."""
    return not yes and output.is_terminal(sys.stdin) and output.is_terminal(sys.stderr)


def agreed(question: str) -> bool:
    """Return whether a person says yes; says so if nothing is deleted. The default is no.

    The end of the input means no, too. Raises KeyboardInterrupt.
    """
    while True:
        sys.stderr.write(f"{output.shown(question)} [y/N]: ")
        sys.stderr.flush()
        typed = _line()
        if not typed:
            output.note("")
        match typed.strip().lower():
            case "y" | "yes":
                return True
            case "" | "n" | "no":
                output.note("nothing was deleted")
                return False


def passphrase(new: bool) -> str | None:
    """Return a passphrase that a person types, twice if it is a new one; None without a terminal."""
    if not asks(yes=False):
        return None
    import getpass

    while True:
        typed = getpass.getpass(
            "New passphrase for the artifacts: " if new else "Passphrase of the artifacts: "
        )
        if not new or getpass.getpass("Again: ") == typed:
            return typed or None
        output.note("the two differ")


def _line() -> str:
    """Return the line that is typed; empty at the end of the input."""
    if sys.platform != "win32":
        import select

        while not select.select([sys.stdin], [], [], _LOOK_EVERY_S)[0]:
            pass
    return sys.stdin.readline()
