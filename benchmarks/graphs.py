"""Workflow documents of given size and shape, made of trivial `debug.value` nodes."""

import json


def _document(name: str, nodes: dict[str, dict[str, object]]) -> str:
    return json.dumps({"symphony": 1, "name": name, "nodes": nodes})


def _node(value: object) -> dict[str, object]:
    return {"operator": "debug.value", "inputs": {"value": value}}


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


def chain(nodes: int) -> str:
    """Each node passes on what the one before it gave."""
    return _document("chain", {f"n{i}": _node(_read(i - 1) if i else 0) for i in range(nodes)})


def wide(nodes: int) -> str:
    """Nodes that depend on nothing."""
    return _document("wide", {f"n{i}": _node(i) for i in range(nodes)})


def layered(nodes: int, width: int) -> str:
    """Layers of `width`; a node passes on one value of the layer before, and waits for another node."""
    made = {}
    for i in range(nodes):
        if i < width:
            made[f"n{i}"] = _node(i)
        else:
            before = (i // width - 1) * width
            made[f"n{i}"] = _node(_read(i - width))
            if width > 1:
                made[f"n{i}"]["after"] = [f"n{before + (i + 1) % width}"]
    return _document("layered", made)
