"""Texts of any origin, made such that UTF-8 can carry them. Pure."""


def sound(text: str) -> str:
    """`text` with `?` for each surrogate: those stand for bytes that are no text, and cannot be encoded."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
