"""Zstandard around any document. A document that unpacks beyond the limit is refused early. Pure."""

from typing import Final

from symphony.workflow.documents.tree import BYTES_MAX, SyntaxProblem, too_large

MAGIC: Final = b"\x28\xb5\x2f\xfd"
"""How every frame begins (RFC 8878); no document of ours begins so."""

SUFFIX: Final = ".zst"
_LEVEL: Final = 9
_WINDOW_BYTES_MAX: Final = BYTES_MAX
# A block of four bytes may unfold to 128 KiB: so many bytes at once give at most 8 MiB.
_SLICE_BYTES: Final = 256


def packed(body: bytes) -> bytes:
    """Return `body` as one frame with its length and checksum."""
    import zstandard

    return zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True).compress(body)


def unpacked(body: bytes) -> bytes:
    """Return the content of the frame `body`, or `body` itself if it is not a frame. Raises SyntaxProblem."""
    if not body.startswith(MAGIC):
        return body
    import zstandard

    hint = "compress the file again"
    try:
        if zstandard.frame_content_size(body) > BYTES_MAX:
            raise too_large()
        unfolding = zstandard.ZstdDecompressor(max_window_size=_WINDOW_BYTES_MAX).decompressobj()
        pieces: list[bytes] = []
        left, at = BYTES_MAX, 0
        while not unfolding.eof:
            if at >= len(body):
                raise SyntaxProblem("syntax", "the compressed document is cut off", hint)
            pieces.append(unfolding.decompress(body[at : at + _SLICE_BYTES]))
            at += _SLICE_BYTES
            left -= len(pieces[-1])
            if left < 0:
                raise too_large()
    except zstandard.ZstdError as error:
        raise SyntaxProblem("syntax", f"the compressed document is damaged: {error}", hint) from None
    if unfolding.unused_data or at < len(body):
        raise SyntaxProblem("syntax", "something follows the compressed document", hint)
    return b"".join(pieces)
