"""Notes for annotations of texts that are written in a language, so that validation compiles them.

@operator("rows.keep", version="1.0.0", pure=True)
def keep(rows: list[Row], where: Annotated[str, Cel("row", gives=bool)]) -> list[Row]: ...
"""

from symphony.workflow.types import PortType, language_of

_GIVEN: dict[type, str] = {bool: "boolean", int: "integer", float: "number", str: "string", bytes: "bytes"}


class TextNote:
    """A note that stands beside `str` in an annotation and names the language of the text."""

    type: PortType


class Cel(TextNote):
    """The text is a CEL expression over `names` with a result of the type `gives`.

    >>> where: Annotated[str, Cel("item", "index", gives=bool)]
    """

    def __init__(self, *names: str, gives: type | None = None) -> None:
        if gives is not None and gives not in _GIVEN:
            raise ValueError(f"gives={gives!r}: give one of bool, int, float, str and bytes")
        self.type = language_of("cel", names, "" if gives is None else _GIVEN[gives])


class JmesPath(TextNote):
    """The text is a JMESPath expression.

    >>> query: Annotated[str, JmesPath()]
    """

    def __init__(self) -> None:
        self.type = language_of("jmespath")


class Regex(TextNote):
    """The text is a regular expression of the package regex.

    >>> pattern: Annotated[str, Regex()]
    """

    def __init__(self) -> None:
        self.type = language_of("regex")


class Glob(TextNote):
    """The text is a glob pattern for relative paths, as `fs.glob` takes them.

    >>> patterns: list[Annotated[str, Glob()]]
    """

    def __init__(self) -> None:
        self.type = language_of("glob")


class TemplateFile(TextNote):
    """The text names a file, beside the workflow, with a Jinja template that is given `names`.

    >>> template: Annotated[str, TemplateFile("data", "*data")]
    """

    def __init__(self, *names: str) -> None:
        self.type = language_of("template-file", names)


class Template(TextNote):
    """The text is a Jinja template that is given `names`; `*data` are the keys of the input `data`.

    >>> text: Annotated[str, Template("data", "*data")]
    """

    def __init__(self, *names: str) -> None:
        self.type = language_of("template", names)
