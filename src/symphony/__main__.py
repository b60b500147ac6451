"""The `symphony` command, also as `python -m symphony`.

Until `symphony.cli.main` is there to say it in words, Ctrl-C ends the process as if it had never begun.
Nothing else is imported before that is seen to.
"""

import signal
import sys


def main() -> int:
    """Run the command line of this process; gives its exit status."""
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


if __name__ == "__main__":
    sys.exit(main())
