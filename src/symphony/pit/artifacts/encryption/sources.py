"""Where the passphrase or the key comes from that opens the key of a store."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from symphony.commons.errors import SymphonyError
from symphony.pit.artifacts.encryption.core.wrapping import OpeningSecret, Opens, secret_of_text
from symphony.pit.artifacts.encryption.errors import EncryptionKeyMissing

VARIABLE: Final = "SYMPHONY_PASSPHRASE"
COMMAND_TIMEOUT_S: Final = 120.0
_FILE_BYTES_MAX: Final = 1 << 16
_MAKE_ONE: Final = "make one with `openssl rand -hex 32`"

AskPassphrase = Callable[[bool], str | None]
"""Asks a person for the passphrase, twice if it is a new one; None if there is nobody to ask."""


class KeySource:
    """A file, the output of a command, or an environment variable; a person is asked if that is not set.

    It is read when it is needed, and every time.
    """

    def __init__(
        self,
        *,
        variable: str = VARIABLE,
        file: Path | None = None,
        command: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        ask: AskPassphrase = lambda _: None,
    ) -> None:
        self._variable, self._file, self._command = variable, file, tuple(command)
        self._environment = os.environ if environment is None else environment
        self._ask = ask

    @property
    def opens(self) -> Opens:
        """Return what it gives."""
        return "key" if self._file is not None or self._command else "passphrase"

    @property
    def asks(self) -> bool:
        """True if a person is asked."""
        return self.opens == "passphrase" and not self._environment.get(self._variable)

    def __str__(self) -> str:
        """Return where it is, in words."""
        if self._file is not None:
            return f"the key file {self._file}"
        if self._command:
            return f"the command {self._command[0]}"
        return f"the passphrase in {self._variable}"

    def secret(self, *, new: bool = False) -> OpeningSecret:
        """Return the secret; `new`: a key is about to be wrapped with it.

        Blocks while a command runs or a person types. Raises EncryptionKeyMissing.
        """
        if self._file is not None:
            return self._random(self._of_file(self._file), f"the key file {self._file}")
        if self._command:
            return self._random(self._of_command(), f"what `{self._command[0]}` prints")
        text = self._environment.get(self._variable) or self._ask(new) or ""
        found = OpeningSecret("passphrase", text.encode("utf-8", "surrogateescape"))
        if not found.normal.value:
            raise EncryptionKeyMissing(
                f"artifacts are {'to be ' if new else ''}encrypted, and {self._variable} is not set",
                hint=f"set {self._variable} to the passphrase, or encryption.key_file in the settings",
            )
        return found.normal if new else found

    def _random(self, text: bytes, what: str) -> OpeningSecret:
        found = secret_of_text(text)
        if found is None:
            raise EncryptionKeyMissing(
                f"{what} is no key: that is 32 random bytes or more, as they are, in hexadecimal or base64",
                hint=_MAKE_ONE,
            )
        return found

    def _of_file(self, path: Path) -> bytes:
        try:
            with path.open("rb") as file:
                return file.read(_FILE_BYTES_MAX)
        except OSError as error:
            raise EncryptionKeyMissing(
                f"cannot read the key file {path}: {error.strerror}",
                hint=f"restore it from a copy; for a store that has no key yet, {_MAKE_ONE}",
            ) from error

    def _of_command(self) -> bytes:
        import subprocess  # few stores need it

        try:
            ended = subprocess.run(
                self._command, stdin=subprocess.DEVNULL, capture_output=True, check=False,
                timeout=COMMAND_TIMEOUT_S,
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as error:
            why = "it took too long" if isinstance(error, subprocess.TimeoutExpired) else error.strerror
            raise self._failed(str(why)) from error
        if ended.returncode:
            raise self._failed(f"it ended with status {ended.returncode}")
        return ended.stdout

    def _failed(self, why: str) -> SymphonyError:
        return EncryptionKeyMissing(
            f"the command {self._command[0]} gave no key: {why}",
            hint="run the command of encryption.key_command yourself and see what it says",
        )
