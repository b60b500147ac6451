"""The `symphony` command, also as `python -m symphony`.

Until `symphony.cli.main` is there to say it in words, Ctrl-C ends the process as if it had never begun.
Nothing else is imported before that is seen to.
"""

import os
import signal
import sys


def main() -> int:
    """Run the command line of this process; gives its exit status."""
    if sys.getfilesystemencoding() != "utf-8":
        begin_again_in_utf8()
    raising = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if raising:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from symphony.cli.main import main as command
    from symphony.cli.main import stopped

    try:
        if raising:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        return command()
    except KeyboardInterrupt:  # in the first or the last moment of the command
        return stopped()
    finally:
        if raising:
            signal.signal(signal.SIGINT, signal.SIG_DFL)


def begin_again_in_utf8() -> None:
    """Replace this process by itself in Python's UTF-8 mode: names of files are bytes, not the locale's text.

    The standard streams keep their encoding, which is that of the terminal.
    """
    if sys.stdout is not None:
        os.environ.setdefault("PYTHONIOENCODING", f"{sys.stdout.encoding}:{sys.stdout.errors}")
    os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])  # noqa: S606  (no shell)


if __name__ == "__main__":
    sys.exit(main())
