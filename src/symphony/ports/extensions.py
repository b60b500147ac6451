"""The extension seam: third-party code in processes of its own, and what its manifest says."""

from collections.abc import Mapping
from typing import Literal, NewType, Protocol

import msgspec

from symphony.commons.errors import SymphonyError
from symphony.ports.values import Value

ExtensionId = NewType("ExtensionId", str)
"""The id of a loaded extension: `name@version`."""


class ExtensionInfo(msgspec.Struct, frozen=True, kw_only=True):
    """The name of the extension, and its semantic version."""

    name: str
    version: str
    type: Literal["instrument", "operator", "motif"]
    author: str = ""
    description: str = ""


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """All that an extension may access; anything else is refused.

    `network_access` lists hosts; `file_access` entries are `read:PATTERN`, `write:PATTERN`.
    """

    model_access: tuple[str, ...] = ()
    network_access: tuple[str, ...] = ()
    file_access: tuple[str, ...] = ()


class Resources(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of an extension, as written: `2GB`, `50%`."""

    memory_limit: str | None = None
    cpu_limit: str | None = None
    gpu_required: bool = False


class ConfigurationField(msgspec.Struct, frozen=True, kw_only=True):
    """One setting of an extension. A secret one is never shown, logged or stored in a run."""

    type: Literal["string", "integer", "float", "boolean"]
    required: bool = False
    secret: bool = False
    default: bool | int | float | str | None = None
    min: float | None = None
    max: float | None = None


class ExtensionManifest(msgspec.Struct, frozen=True, kw_only=True):
    """The manifest of an extension. `dependencies` maps names to version ranges."""

    extension: ExtensionInfo
    capabilities: Capabilities = Capabilities()
    dependencies: Mapping[str, str] = {}
    resources: Resources = Resources()
    configuration: Mapping[str, ConfigurationField] = {}


class ExtensionNotLoaded(SymphonyError):
    """The extension cannot be loaded, or is not loaded (any more); the message names the cause."""

    code = "extension-not-loaded"


class ExtensionFailed(SymphonyError):
    """The extension answered with an error, broke a limit, or its process died."""

    code = "extension-failed"


class PermissionRefused(SymphonyError):
    """The extension wanted something that its manifest does not ask for or its user did not grant."""

    code = "permission-refused"


class ExtensionPort(Protocol):
    """Loads extensions and calls them."""

    async def load_extension(self, manifest: ExtensionManifest) -> ExtensionId:
        """Load an extension and return its id when it is ready for calls. Loading it twice gives the same id.

        Raises ExtensionNotLoaded, PermissionRefused.
        """
        ...

    async def invoke_extension(self, extension_id: ExtensionId, value: Value) -> Value:
        """Return the extension's answer. Cancelling the task ends the call.

        Raises ExtensionNotLoaded, ExtensionFailed, PermissionRefused.
        """
        ...
