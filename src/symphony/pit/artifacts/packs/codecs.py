"""How the payload of a frame is compressed. Thread-safe.

Source: RFC 8878, Zstandard Compression and the 'application/zstd' Media Type.
"""

import threading

from symphony.commons.errors import SymphonyError

RAW, ZSTD = 0, 1
LEVEL, WARM_LEVEL = 3, 19

_own = threading.local()


class PayloadDamaged(Exception):
    """The payload cannot be decoded: it is not what was written."""


class CodecUnknown(SymphonyError):
    """A later version wrote this, in a form that this one cannot read."""

    code = "artifact-newer"


def encoded(raw: bytes, *, warm: bool = False) -> tuple[int, bytes]:
    """Return the codec and the payload; what does not shrink stays as it is.

    For the warm tier it takes a hundred times as long and looks for repetitions in all of `raw`.
    """
    if warm and len(raw) > _SMALLEST:
        packed = _compressed_for_long(raw)
        if len(packed) < len(raw):
            return ZSTD, packed
    elif len(raw) > _SMALLEST:
        try:
            compressor = _own.compressor
        except AttributeError:
            from zstandard import ZstdCompressor

            compressor = _own.compressor = ZstdCompressor(level=LEVEL)
        packed = compressor.compress(raw)
        if len(packed) < len(raw):
            return ZSTD, packed
    return RAW, raw


def decoded(codec: int, payload: bytes, raw_bytes: int) -> bytes:
    """Return the raw payload. Raises PayloadDamaged, CodecUnknown."""
    if codec == RAW:
        raw = payload
    elif codec == ZSTD:
        raw = _decompressed(payload, raw_bytes)
    else:
        raise CodecUnknown(
            f"an artifact is stored in form {codec}, which this version of Symphony does not know",
            hint="use the version that stored it, or a later one",
        )
    if len(raw) != raw_bytes:
        raise PayloadDamaged("its length differs")
    return raw


def _compressed_for_long(raw: bytes) -> bytes:
    from zstandard import ZstdCompressionParameters, ZstdCompressor

    parameters = ZstdCompressionParameters.from_level(
        WARM_LEVEL,
        source_size=len(raw),
        window_log=max(len(raw).bit_length(), _WINDOW_LOG_MIN),
        enable_ldm=True,
    )
    packed: bytes = ZstdCompressor(compression_params=parameters).compress(raw)  # 100 MB: not kept
    return packed


def _decompressed(payload: bytes, raw_bytes: int) -> bytes:
    from zstandard import ZstdDecompressor, ZstdError, get_frame_parameters

    try:
        decompressor = _own.decompressor
    except AttributeError:
        decompressor = _own.decompressor = ZstdDecompressor()
    try:
        if get_frame_parameters(payload).content_size != raw_bytes:  # never allocate what a payload claims
            raise PayloadDamaged("its length differs")
        raw: bytes = decompressor.decompress(payload)
    except ZstdError as error:
        raise PayloadDamaged(str(error)) from error
    return raw


_WINDOW_LOG_MIN = 17
_SMALLEST = 32
"""Nothing so short shrinks by more than its own frame of Zstandard."""
