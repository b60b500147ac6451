"""A model's process for the tests: echoes, fails, dies, leaks or hangs, as its texts or arguments say.

Hanging: `hang` until it is cancelled, `stuck` in a deadlock, `stuck-whole` in one that holds the
interpreter's lock, `loop` for ever, `stop` by a signal. Working: `busy`, for some seconds, and `busy-whole`
in native code that holds the interpreter's lock. `take` so many milliseconds without computing. `until` a
file is there. As arguments: `hold` so many megabytes from the beginning on;
`work HOME`, which takes as long to load as HOME has a file `loading`.
"""

import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from symphony.kit.instruments.serving import Instrument, serve
from symphony.ports.models import ModelFailed, ModelUnavailable
from symphony.ports.values import Value

LEAKED: list[bytes] = []


class Echo:
    """Ports `texts` → `vectors`: each text's length. Some texts are orders."""

    def invoke(
        self, inputs: Mapping[str, Value], config: Mapping[str, Value], cancelled: Callable[[], bool]
    ) -> dict[str, Value]:
        texts = inputs.get("texts", [])  # an empty call asks what a model of another kind serves
        if not isinstance(texts, list):
            raise ModelFailed("texts must be a list", code="type-mismatch", hint="give a list")
        vectors: list[Value] = []
        for text in texts:
            order, _, argument = str(text).partition(" ")
            match order:
                case "die":
                    sys.stderr.write("out of memory, or so")
                    sys.stderr.flush()
                    os._exit(7)
                case "die-once" if not Path(argument).exists():
                    Path(argument).touch()
                    os._exit(8)
                case "raise":
                    raise ZeroDivisionError("by nothing")
                case "print":
                    print(argument)
                case "hang":
                    Path(argument).touch()
                    while not cancelled():
                        threading.Event().wait(0.005)
                case "stuck":
                    Path(argument).touch()
                    threading.Event().wait()
                case "slow":
                    with Path(argument).open("a") as stream:
                        stream.write("x")
                    threading.Event().wait(1.0)
                case "until":
                    while not (cancelled() or Path(argument).exists()):
                        threading.Event().wait(0.005)
                case "take":
                    threading.Event().wait(float(argument.partition(" ")[0]) / 1000)
                case "stuck-whole":
                    Path(argument).touch()
                    ctypes.PyDLL(None).pause()
                case "loop":
                    Path(argument).touch()
                    while True:
                        pass
                case "stop":
                    Path(argument).touch()
                    os.kill(os.getpid(), signal.SIGSTOP)
                case "busy":
                    end_s = time.process_time() + float(argument)
                    while time.process_time() < end_s and not cancelled():
                        pass
                case "busy-whole":
                    end_s = time.process_time() + float(argument)
                    while time.process_time() < end_s:
                        sum(range(10_000_000))
                case "leak":
                    LEAKED.append(b"x" * int(argument))
                case "huge":
                    return {"vectors": ["x" * (65 * 1024 * 1024)]}
            vectors.append([len(str(text)), config.get("add", 0)])
        return {"vectors": vectors, "pid": os.getpid()}


def load() -> Instrument:
    match sys.argv[1:]:
        case ["refuse", counter]:
            with Path(counter).open("a") as stream:
                stream.write("x")
            raise ModelUnavailable("the model is not here", hint="fetch it")
        case ["crash", counter]:
            with Path(counter).open("a") as stream:
                stream.write("x")
            sys.stderr.write("x" * 100_000 + "the end")
            raise SystemExit(1)
        case ["hold", megabytes]:
            LEAKED.append(b"x" * (int(megabytes) * 1_000_000))
        case ["work", home]:
            while (Path(home) / "loading").exists():
                threading.Event().wait(0.005)
        case ["silent"]:
            threading.Event().wait()
        case ["garbage"]:
            os.write(1, b"hello")  # stdout is not the wire any more
            os.write(4, b"\xff\xff\xff\xff garbage")
            threading.Event().wait()
    return Echo()


if __name__ == "__main__":
    sys.exit(serve(load))
