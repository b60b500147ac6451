"""LangGraph with checkpoints in SQLite (its default durability, `async`): one row a node and step.

Each layer is a step of its own; the values of a layer travel in one channel for each column,
so that the state, which is written at every step, stays as small as the graph allows.
"""

import operator
from pathlib import Path
from time import perf_counter
from typing import Annotated, TypedDict

from answering import Graph, Took, answer
from graphs import before
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import END, START, StateGraph


def _builder(graph: Graph) -> StateGraph:
    lanes = {f"v{j}": Annotated[list[int], operator.add] for j in range(min(graph.width, graph.nodes))}
    if graph.width == graph.nodes:  # one step: one channel is lighter than one a node
        lanes = {"v0": Annotated[list[int], operator.add]}
    else:
        lanes = dict.fromkeys(lanes, int)
    made = StateGraph(TypedDict("State", lanes))
    for i, (read, after) in enumerate(before(graph.nodes, graph.width)):
        lane = f"v{i % graph.width}" if len(lanes) > 1 else "v0"
        if read is None:
            value = [i] if len(lanes) == 1 and graph.width > 1 else i
            made.add_node(f"n{i}", lambda _state, lane=lane, value=value: {lane: value})
            made.add_edge(START, f"n{i}")
        else:
            made.add_node(f"n{i}", lambda state, lane=lane: {lane: state[lane]})
            made.add_edge([f"n{j}" for j in (read, after) if j is not None], f"n{i}")
        if i >= graph.nodes - graph.width:
            made.add_edge(f"n{i}", END)
    return made


def _ran(graph: Graph, saver: SqliteSaver | InMemorySaver, started: float) -> Took:
    engine = _builder(graph).compile(checkpointer=saver)
    config = {"configurable": {"thread_id": "one"}, "recursion_limit": graph.nodes + 10}
    ready = perf_counter()
    state = engine.invoke({}, config)
    ended = perf_counter()
    gave = state["v0"] if isinstance(state["v0"], list) else list(state.values())
    return Took(ready - started, ended - ready, gave)


def durable(graph: Graph, folder: Path) -> Took:
    """Checkpoints in a SQLite file."""
    started = perf_counter()
    with SqliteSaver.from_conn_string(str(folder / "langgraph.db")) as saver:
        return _ran(graph, saver, started)


def memory(graph: Graph, _folder: Path) -> Took:
    """Checkpoints in memory."""
    return _ran(graph, InMemorySaver(), perf_counter())


if __name__ == "__main__":
    answer({"durable": durable, "memory": memory})
