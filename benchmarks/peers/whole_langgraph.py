"""LangGraph as a whole process, with checkpoints in SQLite (its default durability, `async`).

Each layer is a step; the values of a layer travel in one channel for each column. A fan-out sends one
message an element, and a reducer adds up what they give.
"""

import operator
from pathlib import Path
from time import perf_counter
from typing import Annotated, TypedDict

from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import END, START, StateGraph
from langgraph.types import Send
from whole import Took, layer_of, main, worked
from written import Work, fanned


def _graph(work: Work) -> StateGraph:
    made = StateGraph(TypedDict("State", {f"v{j}": object for j in range(work.width)}))
    last = len(work.reads) - 1
    for number, reads in enumerate(work.reads):
        lane = f"v{number % work.width}"
        lanes = [f"v{read % work.width}" for read in reads]

        def node(state, number=number, lane=lane, lanes=lanes):
            return {lane: worked(work, number, [state[one] for one in lanes])}

        made.add_node(f"n{number}", node)
        made.add_edge([f"n{read}" for read in reads] if reads else START, f"n{number}")
        if layer_of(work, number) == layer_of(work, last):
            made.add_edge(f"n{number}", END)
    return made


def _fan_out(work: Work) -> StateGraph:
    made = StateGraph(TypedDict("State", {"squares": Annotated[list[int], operator.add]}))
    made.add_node("square", lambda state: {"squares": [fanned(state["number"])]})
    made.add_conditional_edges(
        START, lambda _state: [Send("square", {"number": i}) for i in range(work.elements)], ["square"]
    )
    made.add_edge("square", END)
    return made


def _ran(work: Work, saver: SqliteSaver | InMemorySaver, started: float) -> Took:
    engine = (_fan_out(work) if work.elements else _graph(work)).compile(checkpointer=saver)
    config = {"configurable": {"thread_id": "one"}, "recursion_limit": len(work.reads) + 10}
    ready = perf_counter()
    state = engine.invoke({}, config)
    ended = perf_counter()
    last = f"v{(len(work.reads) - 1) % work.width}"
    return Took(ready - started, ended - ready, sum(state["squares"]) if work.elements else state[last])


def durable(work: Work, folder: Path) -> Took:
    """Checkpoints in a SQLite file."""
    started = perf_counter()
    with SqliteSaver.from_conn_string(str(folder / "langgraph.db")) as saver:
        return _ran(work, saver, started)


def memory(work: Work, _folder: Path) -> Took:
    """Checkpoints in memory."""
    return _ran(work, InMemorySaver(), perf_counter())


if __name__ == "__main__":
    main({"durable": durable, "memory": memory})
