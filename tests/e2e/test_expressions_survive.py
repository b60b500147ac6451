"""Expressions written to crash a parser: refused or evaluated, by a process that lives on."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

CHILD = """
import sys, threading
from symphony.workflow.expressions import BadExpression, Compiler, ExpressionFailed
from symphony.workflow.types import ANY

def repeated(unit, last="", first=""):
    return first + unit * ((4096 - len(first) - len(last)) // len(unit)) + last

TEXTS = [
    "(" * 2047 + "1" + ")" * 2047, "(" * 4000, "[" * 4000, "{1:" * 1000, "{" * 4000, "[" * 2047 + "]" * 2047,
    "{'a':" * 700 + "1" + "}" * 700, "!" * 4000 + "true", "-" * 4000 + "1", "- " * 2000 + "x.y",
    repeated("1+", "1"), repeated("x.y+", "x.y"), repeated("x.y&&", "x.y"), repeated("x.y||", "x.y"),
    repeated(".b", first="x"), repeated("[0]", first="x.y"), repeated("x.y?1:", "1"),
    "x.y?" * 800 + "1" + ":1" * 800,
    "f(" * 1000 + ")" * 1000, "string(" * 500 + "1" + ")" * 500, repeated(".size()", first="x.y"),
    repeated("x.y in ", "x.y"), "x.y" + ".map(a,a)" * 450, "[1].map(a," * 300 + "1" + ")" * 300,
    "." * 4000, "'" * 4001, '"' * 4001, "r'" * 2000, "\\\\" * 4000, "x." * 2000, "x[" * 2000, "a" * 4096,
    "[" + "1," * 2000 + "1]", "{" + ",".join(f"'{i}':{i}" for i in range(400)) + "}",
    "9" * 4000, "1e" + "9" * 4000,
    "b'" + "\\\\xff" * 1000 + "'", "x.y.matches('" + "(a*)*" * 700 + "')",
    "[" + "1," * 499 + "1].map(a, [" + "1," * 499 + "1].map(b, 1))",
]

def all_of_them():
    for text in TEXTS:
        for written in (text, "${{ " + text + " }}", "${{" + text):
            try:
                Compiler(lambda read: ANY).template(written)
                Compiler(lambda read: ANY).condition(written).render(lambda read: "aaa")
            except (BadExpression, ExpressionFailed) as error:
                assert error.message
    print("alive")

threading.stack_size(int(sys.argv[1]) * 1024)
thread = threading.Thread(target=all_of_them)
thread.start()
thread.join()
"""


@pytest.mark.parametrize("stack_kib", [512, 8192])
def test_no_expression_takes_the_process_down(stack_kib: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(stack_kib)], capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "alive", "")
