"""Output that is too large to be kept whole."""

from collections.abc import Collection, Mapping

from symphony.commons.errors import SymphonyError
from symphony.ports.values import Value


class OutputCut(SymphonyError):
    """The work is done, but some of its output exceeds its bound.

    It fails the node only if something reads one of `ports`. `outputs` are what there is, these cut.
    """

    code = "limit-exceeded"

    def __init__(self, message: str, *, ports: Collection[str], outputs: Mapping[str, Value]) -> None:
        super().__init__(message, hint="write to a file and hand its path on")
        self.ports, self.outputs = ports, outputs
