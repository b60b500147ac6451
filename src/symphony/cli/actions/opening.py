"""Opening Symphony as commands that run something do: with the logs where the settings want them."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from symphony.cli.console import output

if TYPE_CHECKING:
    from symphony.app import Symphony


def opened(operators: Sequence[Path] = (), *, memory: bool = False) -> "Symphony":
    """Symphony on its home. Raises ConfigInvalid, IoFailed, OperatorsNotLoaded."""
    from symphony.app import Symphony
    from symphony.commons.logging import init_logging

    output.divert_descriptor()  # files of operators are anybody's, and are run soon
    symphony = Symphony.open(operators=operators, memory=memory)
    init_logging(symphony.config.logging)
    return symphony
