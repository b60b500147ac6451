"""Texts of any origin, made such that they can be told and UTF-8 can carry them. Pure."""


def described(error: BaseException) -> str:
    """Kind and text of any error; the kind alone if its `__str__`, which is the author's, fails."""
    kind = type(error).__name__
    try:
        return f"{kind}: {error}"
    except Exception:  # noqa: BLE001  (it may raise anything)
        return kind


def sound(text: str) -> str:
    """`text` with `?` for each surrogate: those stand for bytes that are no text, and cannot be encoded."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
