"""Workflow documents of given size and shape, made of trivial `debug.value` nodes."""

import json

VALUE = "debug.value"


def _document(name: str, nodes: dict[str, dict[str, object]]) -> str:
    return json.dumps({"symphony": 1, "name": name, "nodes": nodes})


def _node(value: object, operator: str = VALUE) -> dict[str, object]:
    return {"operator": operator, "inputs": {"value": value}}


def _read(number: int) -> str:
    return f"${{{{ n{number}.result }}}}"


def spread(nodes: int, edges: int) -> str:
    """`edges` bare references, as evenly over the nodes as goes; each node reads distinct earlier ones.

    Raises ValueError if so many do not fit without a cycle.
    """
    left, made = edges, {}
    for i in range(nodes):
        take = min(i, -(-left // (nodes - i)))
        left -= take
        stride = i // take if take else 1
        made[f"n{i}"] = _node([i, *(_read(i - 1 - k * stride) for k in range(take))])
    if left:
        raise ValueError(f"{nodes} nodes cannot carry {edges} edges")
    return _document("spread", made)


def dense(nodes: int, edges: int) -> str:
    """`edges` bare references, all in the first nodes: each reads every earlier one while they last.

    Raises ValueError if so many do not fit without a cycle.
    """
    left, made = edges, {}
    for i in range(nodes):
        take = min(i, left)
        left -= take
        made[f"n{i}"] = _node([i, *map(_read, range(take))])
    if left:
        raise ValueError(f"{nodes} nodes cannot carry {edges} edges")
    return _document("dense", made)


def control(nodes: int, edges: int) -> str:
    """Nodes that wait for earlier ones by `after`, `edges` in all, spread as evenly as goes."""
    left, made = edges, {}
    for i in range(nodes):
        take = min(i, -(-left // (nodes - i)))
        left -= take
        stride = i // take if take else 1
        made[f"n{i}"] = {**_node(i), "after": [f"n{i - 1 - k * stride}" for k in range(take)]}
    return _document("control", made)


def conditions(nodes: int) -> str:
    """Nodes that begin if a condition of their own holds, which reads an input."""
    return _conditions([f"inputs.n > {i}" for i in range(nodes)], "integer")


def forms(nodes: int) -> str:
    """Conditions as those of `conditions`, of which no two are of one form: they compare with doubles."""
    return _conditions([f"inputs.n > {i}.5" for i in range(nodes)], "number")


def _conditions(conditions: list[str], kind: str) -> str:
    made = {f"n{i}": {**_node(i), "when": when} for i, when in enumerate(conditions)}
    inputs = {"n": {"type": kind, "default": 0}}
    return json.dumps({"symphony": 1, "name": "conditions", "inputs": inputs, "nodes": made})


def chain(nodes: int) -> str:
    """Each node passes on what the one before it gave."""
    return _made("chain", nodes, 1)


def wide(nodes: int) -> str:
    """Nodes that depend on nothing."""
    return _made("wide", nodes, nodes)


def layered(nodes: int, width: int, operator: str = VALUE) -> str:
    """Layers of `width`; a node passes on one value of the layer before, and waits for another node."""
    return _made("layered", nodes, width, operator)


def _made(name: str, nodes: int, width: int, operator: str = VALUE) -> str:
    made = {}
    for i, (read, after) in enumerate(before(nodes, width)):
        made[f"n{i}"] = _node(i if read is None else _read(read), operator)
        if after is not None:
            made[f"n{i}"]["after"] = [f"n{after}"]
    return _document(name, made)


def before(nodes: int, width: int) -> list[tuple[int | None, int | None]]:
    """For each node of layers of `width`: the node it reads, and another one that it waits for."""
    out: list[tuple[int | None, int | None]] = []
    for i in range(nodes):
        first = (i // width - 1) * width
        after = first + (i + 1) % width if width > 1 and i >= width else None
        out.append((i - width if i >= width else None, after))
    return out
