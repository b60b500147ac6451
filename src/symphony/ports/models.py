"""The model seam: run an instrument's model with a node's inputs."""

from collections.abc import Mapping
from typing import Protocol

from symphony.commons.errors import SymphonyError
from symphony.ports.values import Value


class ModelUnavailable(SymphonyError):
    """The model is unknown, not installed, damaged, or does not start."""

    code = "model-unavailable"


class ModelFailed(SymphonyError):
    """The model was asked and could not answer. A narrower `code` may say why (`type-mismatch`, …)."""

    code = "model-failed"


class Models(Protocol):
    """Local or remote models by id. Errors: `ModelUnavailable`, `ModelFailed`."""

    async def invoke(
        self, model: str, inputs: Mapping[str, Value], config: Mapping[str, Value]
    ) -> Mapping[str, Value]:
        """The model's output ports for `inputs`; cancelling the task ends the call."""
        ...

    def fingerprint(self, model: str) -> str:
        """Changes whenever the model's weights or code change: part of the cache key."""
        ...

    async def close(self) -> None: ...
