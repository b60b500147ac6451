"""The user at this machine."""


def login_name() -> str | None:
    """Return the name of the user who runs this process; None if the system does not know it."""
    import getpass  # seldom needed

    try:
        return getpass.getuser() or None
    except (OSError, KeyError, ImportError):
        return None
