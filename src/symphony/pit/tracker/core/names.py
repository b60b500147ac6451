"""Full names of steps, as people see them: `loop#2.parse[3]`. Pure."""


def parent_of(name: str) -> str | None:
    """The step that a step belongs to: `a[3]` to `a`, `loop#2.b` to `loop#2`, `loop#2` to `loop`."""
    if name.endswith("]"):
        return name[: name.rindex("[")]
    head, dot, last = name.rpartition(".")
    if "#" in last:
        return name[: name.rindex("#")]
    return head if dot else None


def folded(name: str) -> str:
    """The name without the numbers of elements and rounds: `loop#2.parse[3]` is `loop.parse`."""
    if "[" not in name and "#" not in name:
        return name
    return ".".join(part.partition("[")[0].partition("#")[0] for part in name.split("."))
