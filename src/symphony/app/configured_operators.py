"""Files of operators that the settings name, for every workflow."""

from collections.abc import Iterable
from pathlib import Path

from symphony.app.home import FOLDER
from symphony.commons.errors import ConfigInvalid, SymphonyError
from symphony.commons.settings import Config
from symphony.workflow.catalog import OperatorInfo


def configured_files(config: Config, home: Path | None) -> list[Path]:
    """Return the files of operators that the settings name.

    Relative ones lie in the folder that the home `.symphony` lies in, or in a home of another name.
    """
    here = Path.cwd() if home is None else home.parent if home.name == FOLDER else home
    return [here / Path(name).expanduser() for name in config.operators.files]


def configured_infos(files: Iterable[Path]) -> tuple[dict[str, OperatorInfo], tuple[str, ...]]:
    """Return what the files of the settings define, read from their text, and which may define more.

    Raises ConfigInvalid.
    """
    found: dict[str, OperatorInfo] = {}
    partial: list[str] = []
    for file in files:
        from symphony.sdk.reading.files import read_file  # imported only if there are any

        try:
            read = read_file(file)
        except SymphonyError as error:
            raise wrong_settings(error) from error
        found |= read.infos
        partial += [str(file)] if read.partial else []
    return found, tuple(partial)


def wrong_settings(error: SymphonyError) -> ConfigInvalid:
    """Return the error for a file that cannot be used."""
    return ConfigInvalid(f"the settings, operators.files: {error.message}", hint=error.hint)
