"""Where Symphony keeps its state."""

import os
from pathlib import Path


def find_home(given: Path | str | None = None, *, start: Path | None = None) -> Path:
    """The home: `given`, else `SYMPHONY_HOME`, else the nearest `.symphony/` upward from `start`

    (the current directory), else the platform's user data directory. It need not exist.
    """
    if given is not None:
        return Path(given).expanduser().absolute()
    if named := os.environ.get("SYMPHONY_HOME"):
        return Path(named).expanduser().absolute()
    folder = (start or Path.cwd()).absolute()
    for parent in (folder, *folder.parents):
        if (parent / ".symphony").is_dir():
            return parent / ".symphony"
    import platformdirs

    return Path(platformdirs.user_data_dir("symphony", appauthor=False))
