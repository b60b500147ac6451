"""TOML through the standard library's reader; null is spelled `{"$null" = true}`."""

import re
import tomllib

from symphony.workflow.documents.tree import Document, SyntaxProblem, check_depth, too_deep

_WHERE = re.compile(r" \(at line (\d+), column (\d+)\)")


def parse(data: bytes) -> Document:
    """The document in `data`. Raises SyntaxProblem."""
    try:
        tree = tomllib.loads(data.decode("utf-8"))
    except RecursionError:
        raise too_deep() from None
    except tomllib.TOMLDecodeError as error:
        match = _WHERE.search(str(error))
        where = (int(match[1]), int(match[2])) if match else None
        words = _WHERE.sub("", str(error))
        code = "duplicate-name" if "overwrite" in words or "twice" in words else "syntax"
        hint = "rename or remove one" if code == "duplicate-name" else "check quotes, brackets and table names"
        raise SyntaxProblem(
            "duplicate-name" if code == "duplicate-name" else "syntax", f"not TOML: {words}", hint, where
        ) from None
    check_depth(tree)
    return Document(tree)
