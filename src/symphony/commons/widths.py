"""How wide texts are where every character has the same width: terminals, tables in plain text. Pure."""


def columns(text: str) -> int:
    """How many columns `text` takes (wide and combining characters considered)."""
    if text.isascii():
        return len(text)
    from unicodedata import combining, east_asian_width

    return sum(0 if combining(c) else 2 if east_asian_width(c) in "WF" else 1 for c in text)


def first_columns(text: str, width: int) -> str:
    """`text`, or as much of its beginning as takes at most `width` columns with the mark `…` behind it."""
    if columns(text) <= width:
        return text
    kept, used = "", 1
    for character in text:
        used += columns(character)
        if used > width:
            break
        kept += character
    return kept + "…"
