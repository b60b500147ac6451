"""The text of a function that copies share."""

import ast

from hypothesis import given
from hypothesis import strategies as st

from symphony.kit.python_source import read_source
from symphony.kit.shapes import shape


def shapes(source: str) -> list[str]:
    return [one.shape for one in read_source(source.encode(), shapes=True).definitions]


FIRST = '''
def total(prices: list[int], tax: float = 0.2) -> float:
    """What it costs."""
    result = 0.0
    for price in prices:
        result += price * (1 + tax)  # gross
    return round(result, 2)
'''
SECOND = """
def sum_up(numbers, factor=0.2):
    acc = 0.0
    for n in numbers: acc += n * (1 + factor)
    return round(acc, 2)
"""


def test_a_renamed_copy_has_the_same_shape() -> None:
    assert shapes(FIRST) == shapes(SECOND)
    assert shapes(FIRST)[0].startswith("def f(a, b=0.2):")


def test_calls_attributes_and_constants_stay() -> None:
    assert shapes(FIRST) != shapes(FIRST.replace("round", "floor"))
    assert shapes(FIRST) != shapes(FIRST.replace("0.2", "0.3"))
    assert "self" in shapes("class A:\n  def m(self, x): return self.y + x")[1]


def test_exception_names_and_nested_functions_are_renamed_too() -> None:
    one = "def f(x):\n try: g(x)\n except E as error: raise F(error)\n def h(k: int): return k\n return h"
    other = one.replace("error", "problem").replace("k", "z")
    assert shapes(one)[0] == shapes(other)[0]


def test_a_class_without_methods_is_its_bases_and_attributes() -> None:
    one = 'class A(B):\n  """Doc."""\n  limit = 3\n  class D: pass'
    assert shapes(one)[0] == "class C(B):\n    limit = 3\n\n    class D:\n        ..."


def test_a_class_with_methods_has_no_shape_since_outlines_agree_for_every_implementation() -> None:
    assert shapes("class A(B):\n  limit = 3\n  def m(self): return 1")[0] == ""
    assert shapes("class A:\n  class D:\n    def m(self): return 1")[0] == ""


def test_a_function_of_nothing_but_a_docstring_has_a_shape() -> None:
    assert shapes('def f():\n  """Doc."""')[0] == "def f():\n    ..."


def test_the_tree_is_left_as_it_was() -> None:
    tree = ast.parse(FIRST + "\nclass A:\n  'doc'\n  def m(self, a: int): return a")
    before = ast.dump(tree, include_attributes=True)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            shape(node)
    assert ast.dump(tree, include_attributes=True) == before


@given(st.lists(st.sampled_from("abcdefghijklmnop"), min_size=40, max_size=40, unique=False))
def test_names_beyond_the_alphabet_go_on_with_numbers(letters: list[str]) -> None:
    names = [f"{letter}{i}" for i, letter in enumerate(letters)]
    text = shapes("def q(" + ", ".join(names) + "): return " + names[-1])[0]
    assert text.endswith("return v39")
