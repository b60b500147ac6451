"""Keeps the values of listed environment variables out of everything that a home stores."""

from collections.abc import Mapping

from symphony.commons.errors import SymphonyError
from symphony.pit.artifacts.sealed import Part, Sealed, SealedMap, SealedValue
from symphony.ports.values import ArtifactRef, StoredValue, Value

SECRET_CHARS_MIN = 6
"""Shorter values are not taken for secrets: hiding every `1` would hide everything."""

MASK = "***"


class SecretMissing(SymphonyError):
    """A recorded value needs a variable that is not set any more, or has another value."""

    code = "secret-missing"


class EnvironmentSealer:
    """Replaces the values of `variables` by their names, and back.

    What is written for people (`mask`) shows `***`; what a resumed run needs (`seal`) names the
    variable, whose value must be set again. Besides the plain value, its JSON-escaped form is
    masked.
    """

    def __init__(self, variables: Mapping[str, str]) -> None:
        found = {name: value for name, value in variables.items() if len(value) >= SECRET_CHARS_MIN}
        self._secrets = sorted(found.items(), key=lambda item: -len(item[1]))  # the longest first
        self._values = found

    def mask(self, text: str) -> str:
        """`text` with every secret as `***`."""
        for _, secret in self._secrets:
            text = text.replace(secret, MASK)
            escaped = secret.encode("unicode_escape").decode("ascii")
            if escaped != secret:
                text = text.replace(escaped, MASK)
            for line in secret.splitlines():
                if len(line) >= SECRET_CHARS_MIN:
                    text = text.replace(line, MASK)
        return text

    def holds_secret(self, value: StoredValue) -> bool:
        """Is a secret anywhere in the value?"""
        if isinstance(value, ArtifactRef):
            return False
        if isinstance(value, str):
            return any(secret in value for _, secret in self._secrets)
        if isinstance(value, bytes):
            return any(secret.encode() in value for _, secret in self._secrets)
        if isinstance(value, list):
            return any(map(self.holds_secret, value))
        if isinstance(value, dict):
            return any(self.holds_secret(k) or self.holds_secret(v) for k, v in value.items())
        return False

    def seal(self, value: StoredValue) -> SealedValue:
        """The value as it may be written down."""
        if isinstance(value, str):
            return self._seal_text(value)
        if isinstance(value, bytes):
            return self._seal_bytes(value)
        if isinstance(value, list):
            return [self.seal(item) for item in value]
        if isinstance(value, dict):
            if any(self.holds_secret(key) for key in value):
                return SealedMap(
                    tuple((self._seal_text(key), self.seal(item)) for key, item in value.items())
                )
            return {key: self.seal(item) for key, item in value.items()}
        return value

    def _seal_text(self, text: str) -> str | Sealed:
        segments: list[str | bytes | Part] = [text]
        for name, secret in self._secrets:
            segments = [piece for segment in segments for piece in _split(segment, secret, name)]
        return text if len(segments) == 1 and segments[0] == text else Sealed("text", tuple(segments))

    def _seal_bytes(self, body: bytes) -> bytes | Sealed:
        segments: list[str | bytes | Part] = [body]
        for name, secret in self._secrets:
            segments = [piece for segment in segments for piece in _split_bytes(segment, secret, name)]
        return body if len(segments) == 1 and segments[0] == body else Sealed("bytes", tuple(segments))

    def unseal(self, form: SealedValue) -> StoredValue:
        """The value as it was. Raises SecretMissing, naming the variable."""
        if isinstance(form, Sealed):
            return self._unseal_leaf(form)
        if isinstance(form, SealedMap):
            return {str(self.unseal(key)): self._inner(item) for key, item in form.pairs}
        if isinstance(form, list):
            return [self._inner(item) for item in form]
        if isinstance(form, dict):
            return {key: self._inner(item) for key, item in form.items()}
        return form

    def _inner(self, form: SealedValue) -> Value:
        # References stand only at the top, where callers allow them.
        return self.unseal(form)  # type: ignore[return-value]

    def _unseal_leaf(self, form: Sealed) -> str | bytes:
        parts = [
            self._restored(segment) if isinstance(segment, Part) else segment for segment in form.segments
        ]
        if form.kind == "bytes":
            return b"".join(part if isinstance(part, bytes) else part.encode() for part in parts)
        return "".join(part if isinstance(part, str) else part.decode() for part in parts)

    def _restored(self, part: Part) -> str:
        secret = self._values.get(part.name)
        if secret is None or len(secret) != part.stop:
            raise SecretMissing(
                f"the run needs the variable {part.name} as it was", hint=f"set {part.name} and resume again"
            )
        return secret


def _split(segment: str | bytes | Part, secret: str, name: str) -> list[str | bytes | Part]:
    if not isinstance(segment, str) or secret not in segment:
        return [segment]
    out: list[str | bytes | Part] = []
    for i, piece in enumerate(segment.split(secret)):
        if i:
            out.append(Part(name, "plain", 0, len(secret)))
        if piece:
            out.append(piece)
    return out


def _split_bytes(segment: str | bytes | Part, secret: str, name: str) -> list[str | bytes | Part]:
    if not isinstance(segment, bytes) or secret.encode() not in segment:
        return [segment]
    out: list[str | bytes | Part] = []
    for i, piece in enumerate(segment.split(secret.encode())):
        if i:
            out.append(Part(name, "plain", 0, len(secret)))
        if piece:
            out.append(piece)
    return out
