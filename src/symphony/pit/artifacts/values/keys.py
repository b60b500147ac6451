"""Cache keys: everything that a result depends on, as one key. Pure."""

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence

from symphony.pit.artifacts.values.codec import encode_value
from symphony.ports.values import Value

_LIST_OF_SIX = b"\x96"
"""How a list of six parts begins: what is hashed is the list, encoded."""
_BLANK = "?" * 64
"""In place of a digest, which has as many digits."""
_SCHEME = 2
"""Raised whenever results of earlier versions of Symphony must not be found any more."""


def cache_key(
    operator: str,
    version: str,
    fingerprint: str,
    config: Mapping[str, Value],
    inputs: Mapping[str, str],
) -> str:
    """64 hexadecimal digits that change whenever the result may.

    `operator` is an operator's or a model's name, `fingerprint` stands for its code or weights,
    `inputs` maps input names to digests: `codec.value_digest`, or `content.content_digest` for
    the file that a `path` input points to. The order of names has no meaning; inside a value of
    `config`, as in the digests of inputs, that of keys has.
    Raises SerializationFailed if `config` holds something that is not a value.
    """
    return KeyBeginning(operator, version, fingerprint, config).key(inputs)


class KeyBeginning:
    """The common part of keys with the same operator, version, fingerprint and configuration.

    Raises as `cache_key`, which see.
    """

    def __init__(self, operator: str, version: str, fingerprint: str, config: Mapping[str, Value]) -> None:
        parts: tuple[Value, ...] = (_SCHEME, operator, version, fingerprint, _by_name(config))
        self._hashed = hashlib.sha256(_LIST_OF_SIX + b"".join(map(encode_value, parts)))

    def key(self, inputs: Mapping[str, str]) -> str:
        """The key with the digests of inputs, by name."""
        hashed = self._hashed.copy()
        hashed.update(encode_value(_by_name(inputs)))
        return hashed.hexdigest()

    def of(self, names: Collection[str], others: Mapping[str, str]) -> Callable[[Sequence[str]], str]:
        """Return a function that makes keys from digests of the inputs `names`, sorted, and from `others`.

        It gives what `key` does; only the digests are filled in, where `key` encodes all names each time.
        """
        blanks = encode_value(_by_name({**others, **dict.fromkeys(names, _BLANK)}))
        parts = blanks.split(_BLANK.encode())
        if len(parts) != len(names) + 1:
            return lambda digests: self.key({**others, **dict(zip(sorted(names), digests, strict=True))})
        form, begun = b"%b".join(part.replace(b"%", b"%%") for part in parts), self._hashed.copy

        def filled(digests: Sequence[str]) -> str:
            hashed = begun()
            hashed.update(form % tuple([digest.encode() for digest in digests]))
            return hashed.hexdigest()

        return filled


def _by_name(parts: Mapping[str, Value]) -> Value:
    return {name: parts[name] for name in sorted(parts)}
