"""Hamilton: one function a node, in memory, in one thread. Keeps nothing."""

import sys
from pathlib import Path
from time import perf_counter

from answering import Graph, Took, answer
from graphs import before
from hamilton import base, driver
from hamilton.ad_hoc_utils import create_temporary_module

sys.setrecursionlimit(100_000)  # it walks a chain by recursion


def run(graph: Graph, _folder: Path) -> Took:
    """Everything in memory."""
    source = []
    for i, (read, after) in enumerate(before(graph.nodes, graph.width)):
        names = [f"n{j}: int" for j in (read, after) if j is not None]
        source.append(
            f"def n{i}({', '.join(names)}) -> int:\n    return {i if read is None else f'n{read}'}\n"
        )
    made: dict[str, object] = {"__name__": "graph"}
    exec("".join(source), made)  # functions of given names are what the engine takes
    functions = [made[f"n{i}"] for i in range(graph.nodes)]
    last = [f"n{i}" for i in range(graph.nodes - graph.width, graph.nodes)]
    started = perf_counter()
    module = create_temporary_module(*functions, module_name=f"graph_{started}".replace(".", "_"))
    engine = driver.Builder().with_modules(module).with_adapters(base.DictResult()).build()
    ready = perf_counter()
    gave = engine.execute(last)
    ended = perf_counter()
    return Took(ready - started, ended - ready, list(gave.values()))


if __name__ == "__main__":
    answer({"memory": run})
