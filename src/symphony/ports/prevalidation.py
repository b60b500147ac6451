"""The pre-validation seam: technical checks that spare a request which cannot succeed."""

from pathlib import Path
from typing import Protocol

from symphony.commons.errors import ValidationFailed
from symphony.ports.data import CreateUserRequest, CreateWorkflowRequest


class PreValidationFailed(ValidationFailed):
    """The request is not worth sending; `details["field"]` or `details["problems"]` say why."""

    code = "pre-validation-failed"


class PreValidationPort(Protocol):
    """Checks presence, form and size only: no permissions, no business rules, no look-ups.

    A method returns, within 20 µs (the manifest's: within a read of one small file), or raises
    PreValidationFailed.
    """

    def validate_workflow_request(self, request: CreateWorkflowRequest) -> None:
        """Check that a name and steps are present, within their limits."""
        ...

    def validate_user_request(self, request: CreateUserRequest) -> None:
        """Check that an address with an @ and a name are present, within their limits."""
        ...

    def validate_extension_manifest(self, path: Path) -> None:
        """Check that the file exists, is not empty, not too large, and is TOML."""
        ...
