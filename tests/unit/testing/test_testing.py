"""The helpers for those who test workflows and operators of their own."""

import asyncio
import subprocess
import sys
import threading
import time
from decimal import Decimal
from pathlib import Path

import pytest

from symphony import Symphony, SymphonyError, operator
from symphony.ports.models import Usage
from symphony.ports.runs import RunStatus
from symphony.testing import (
    After,
    Answer,
    FakeClock,
    FakeModel,
    ScriptExhausted,
    drive,
    fake_operator,
    run,
    workflow,
)
from symphony.workflow import WorkflowInvalid, loads

RETRY = "retry: {attempts: 3, backoff: constant, initial: 1h, jitter: false}"
ASK = """
    name: Ask
    inputs: {question: {type: string}}
    nodes:
      ask:
        instrument: gpt
        inputs: {prompt: "Say: ${{ inputs.question }}"}
        retry: {attempts: 3, backoff: constant, initial: 1h, jitter: false}
    outputs: {answer: "${{ ask.text }}"}
"""


def test_a_model_says_what_the_test_wants_and_remembers_what_it_was_asked() -> None:
    model = FakeModel("forty-two")
    outcome = run(workflow(ASK), {"question": "why"}, models={"gpt": model})
    outcome.assert_succeeded(answer="forty-two")
    assert [(call.model, call.inputs["prompt"]) for call in model.calls] == [("gpt", "Say: why")]


def test_answers_come_in_turn_and_an_hour_of_back_off_takes_no_time() -> None:
    began = time.monotonic()
    model = FakeModel(ValueError("first"), ValueError("second"), "third")
    outcome = run(workflow(ASK), {"question": "why"}, models={"gpt": model})
    outcome.assert_succeeded(answer="third")
    outcome.assert_node("ask", attempts=3)
    assert outcome.elapsed_s == pytest.approx(2 * 3600, abs=60)
    assert time.monotonic() - began < 60
    assert outcome.history.steps["ask"].retries == 2


def test_a_model_that_is_asked_more_often_than_it_has_answers_fails_its_node() -> None:
    two = "name: Two\nnodes:\n" + "".join(
        f"  {n}: {{instrument: gpt, inputs: {{prompt: hi}}{after}}}\n"
        for n, after in (("a", ""), ("b", ", after: [a]"), ("c", ", after: [b]"))
    )
    outcome = run(workflow(two), models={"gpt": FakeModel("one", "two")})
    outcome.assert_failed(code="script-exhausted", node="c")
    outcome.assert_order("a", "b")


def test_an_answer_may_depend_on_the_question_and_be_structured() -> None:
    model = FakeModel(lambda call: {"json": {"asked": call.inputs["prompt"]}})
    text = ASK.replace("ask.text", "ask.json.asked")
    run(workflow(text), {"question": "q"}, models={"gpt": model}).assert_succeeded(answer="Say: q")


def test_a_slow_model_meets_its_timeout_at_the_exact_second() -> None:
    text = ASK.replace(RETRY, "timeout: 90s")
    outcome = run(workflow(text), {"question": "q"}, models={"gpt": FakeModel(After(600, "late"))})
    outcome.assert_failed(code="timeout")
    assert outcome.elapsed_s == pytest.approx(90, abs=0.1)
    outcome = run(workflow(text), {"question": "q"}, models={"gpt": FakeModel(After(60, "in time"))})
    outcome.assert_succeeded(answer="in time")
    assert outcome.elapsed_s == pytest.approx(60, abs=0.1)


def test_what_calls_use_up_counts_against_the_budget() -> None:
    model = FakeModel("dear", usage=Usage(calls=1, tokens_in=900, cost=Decimal(1), currency="USD"))
    text = workflow("budget: {tokens: 1000}\n" + ASK.replace("\n    ", "\n"))
    run(text, {"question": "q"}, models={"gpt": model}).assert_succeeded()
    text = workflow("budget: {tokens: 100}\n" + ASK.replace("\n    ", "\n"))
    run(text, {"question": "q"}, models={"gpt": model}).assert_failed(code="budget-exceeded")


def test_what_the_budget_refuses_is_not_tried_again() -> None:
    model = FakeModel("dear", usage=Usage(calls=1, tokens_in=900))
    text = workflow("budget: {tokens: 100}\n" + ASK.replace("\n    ", "\n"))
    outcome = run(text, {"question": "q"}, models={"gpt": model})
    outcome.assert_node("ask", status="failed", attempts=1)
    assert outcome.elapsed_s < 3600


def test_embeddings_are_the_same_for_the_same_text() -> None:
    text = """
        name: Embed
        nodes:
          e: {instrument: any, inputs: {texts: [a, b, a]}}
        outputs: {v: "${{ e.vectors }}"}
    """
    outcome = run(workflow(text), models={"any": FakeModel.embedding(3)})
    first, second, third = outcome.outputs["v"]  # type: ignore[misc]
    assert first == third != second
    assert sum(x * x for x in first) == pytest.approx(1)


def test_an_operator_of_the_kit_is_replaced_and_keeps_its_ports() -> None:
    fake = fake_operator("fs.glob", {"paths": ["a.py"]})
    text = """
        name: Files
        nodes:
          files: {operator: fs.glob, inputs: {root: /nowhere, patterns: ["*.py"]}}
        outputs: {paths: "${{ files.paths }}"}
    """
    outcome = run(workflow(text), operators=[fake])
    outcome.assert_succeeded(paths=["a.py"])
    assert fake.calls[0]["patterns"] == ["*.py"]
    with pytest.raises(WorkflowInvalid):
        run(workflow(text.replace("patterns", "pattern")), operators=[fake])


def test_an_operator_of_ones_own_runs_as_it_is() -> None:
    @operator("own.double", version="1.0.0", inline=False)
    async def double(number: int) -> int:
        """Twice."""
        await asyncio.sleep(86_400)
        return number * 2

    text = workflow(
        "name: T\nnodes: {d: {operator: own.double, inputs: {number: 21}}}\noutputs: {n: '${{ d.result }}'}"
    )
    outcome = run(text, operators=[double])
    outcome.assert_succeeded(n=42)
    assert outcome.elapsed_s == pytest.approx(86_400, abs=0.1)


class Wordless(Exception):
    def __str__(self) -> str:
        raise ValueError("no text")


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (Wordless(), "operator-failed", "Wordless"),
        (SymphonyError(3, hint=4), "error", "3"),  # type: ignore[arg-type]
    ],
    ids=["whose text fails", "whose text is none"],
)
def test_an_error_that_cannot_be_told_fails_its_node_all_the_same(
    error: Exception, code: str, message: str
) -> None:
    @operator("own.fails", version="1.0.0")
    async def fails() -> int:
        """Fail."""
        raise error

    line = fails.original.__code__.co_firstlineno + 3
    text = workflow("name: T\nnodes: {f: {operator: own.fails}}")
    outcome = run(text, operators=[fails])
    outcome.assert_failed(code=code, node="f")
    assert outcome.result.error is not None
    assert outcome.result.error.message.removeprefix(f"{__file__}:{line} in fails: ") == message


def test_a_run_is_cancelled_at_a_time_of_the_tests_clock() -> None:
    model = FakeModel(After(1_000, "never"))
    outcome = run(workflow(ASK), {"question": "q"}, models={"gpt": model}, cancel_after_s=10)
    assert outcome.status == "cancelled"
    outcome.assert_node("ask", status="cancelled")
    assert outcome.elapsed_s == pytest.approx(10, abs=0.1)


def test_threads_and_commands_take_their_real_time_and_jump_nothing(tmp_path: Path) -> None:
    text = """
        name: Real
        nodes:
          shell: {command: "sleep 0.2; echo done", timeout: 1d}
          slow: {operator: own.sync}
        outputs: {said: "${{ shell.stdout }}", n: "${{ slow.result }}"}
    """

    @operator("own.sync", version="1.0.0")
    def sync() -> int:
        """In a thread."""
        time.sleep(0.1)
        return 1

    outcome = run(workflow(text), operators=[sync], cwd=tmp_path)
    outcome.assert_succeeded(said="done\n", n=1)
    assert 0.1 < outcome.elapsed_s < 60  # not the day of the timeout


@pytest.mark.slow
def test_a_command_beside_which_nothing_goes_on_is_not_overtaken_by_its_timeout(tmp_path: Path) -> None:
    text = """
        name: Alone
        nodes: {shell: {command: "sleep 0.2; echo done", timeout: 1d}}
        outputs: {said: "${{ shell.stdout }}"}
    """
    outcome = run(workflow(text), cwd=tmp_path)
    outcome.assert_succeeded(said="done\n")
    assert outcome.elapsed_s < 60


def test_large_outputs_are_given_whole() -> None:
    fake = fake_operator("own.large", "x" * 100_000)
    text = workflow("name: T\nnodes: {d: {operator: own.large}}\noutputs: {n: '${{ d.result }}'}")
    run(text, operators=[fake]).assert_succeeded(n="x" * 100_000)


@pytest.mark.parametrize(
    ("check", "said"),
    [
        (lambda o: o.assert_succeeded(), "the run failed: [own-code] it broke at d"),
        (lambda o: o.assert_failed(code="other"), "not with other"),
        (lambda o: o.assert_failed(node="e"), "not at e"),
        (lambda o: o.assert_node("d"), "d is failed, not succeeded: [own-code] it broke"),
        (lambda o: o.assert_node("d", status="failed", attempts=2), "1 attempts, not 2"),
        (lambda o: o.assert_node("d", status="failed", code="other"), "own-code, not other"),
        (lambda o: o.node("nope"), "no node 'nope'; there are d"),
        (lambda o: o.assert_order("d", "d"), "d began before d had ended"),
    ],
)  # fmt: skip
def test_an_assertion_that_fails_tells_what_happened(check: object, said: str) -> None:
    fake = fake_operator("own.bad", SymphonyError("it broke", code="own-code"))
    outcome = run(workflow("name: T\nnodes: {d: {operator: own.bad}}"), operators=[fake])
    assert callable(check)
    with pytest.raises(AssertionError) as caught:
        check(outcome)
    assert said in str(caught.value)


def test_wrong_outputs_are_told_with_both_values() -> None:
    text = workflow("name: T\nnodes: {d: {operator: own.one}}\noutputs: {n: '${{ d.result }}'}")
    outcome = run(text, operators=[fake_operator("own.one", 1)])
    with pytest.raises(AssertionError, match="output n is 1, not 2"):
        outcome.assert_succeeded(n=2)
    with pytest.raises(AssertionError, match="no output 'm'; there are n"):
        outcome.assert_succeeded(m=2)


def test_the_clock_can_be_used_alone_and_the_wall_clock_set() -> None:
    clock = FakeClock(start_s=1000)

    async def wait() -> float:
        await asyncio.gather(asyncio.sleep(50), clock.sleep(70), asyncio.sleep(60))
        return asyncio.get_running_loop().time()

    assert drive(wait(), clock) == pytest.approx(70)
    clock.set_wall(-500)
    assert clock.now_s() == pytest.approx(570)
    assert clock.monotonic_s() == pytest.approx(70)
    assert clock.slept == [70]
    with pytest.raises(ValueError, match="does not go back"):
        clock.advance(-1)


async def test_on_another_loop_the_clock_jumps_at_once() -> None:
    clock = FakeClock()
    await clock.sleep(1e6)
    assert clock.monotonic_s() == 1e6


def test_timers_of_any_number_and_order_fire_in_order() -> None:
    fired: list[int] = []

    async def main() -> None:
        async def one(number: int) -> None:
            await asyncio.sleep(number * 3600)
            fired.append(number)

        async with asyncio.TaskGroup() as tasks:
            for number in (5, 1, 4, 2, 3):
                tasks.create_task(one(number))

    drive(main())
    assert fired == [1, 2, 3, 4, 5]


def test_a_script_needs_an_answer() -> None:
    with pytest.raises(ValueError, match="at least one answer"):
        FakeModel()
    assert ScriptExhausted.code == "script-exhausted"


@pytest.mark.slow
def test_nothing_is_written_and_no_test_framework_is_needed(tmp_path: Path) -> None:
    program = (
        "import sys; from symphony.testing import run, workflow, fake_operator\n"
        "t = workflow('name: T\\nnodes: {d: {operator: o.o}}')\n"
        "run(t, operators=[fake_operator('o.o', 'x' * 100000)]).assert_succeeded()\n"
        "sys.exit('pytest' in sys.modules)"
    )
    environment = {"HOME": str(tmp_path), "SYMPHONY_HOME": str(tmp_path / "home"), "PATH": "/bin:/usr/bin"}
    done = subprocess.run(
        [sys.executable, "-P", "-W", "error", "-c", program],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert list(tmp_path.iterdir()) == []


GATES = workflow("""
    name: Gates
    nodes:
      rounds:
        control: loop
        state: {by: []}
        until: iteration == 1
        body: {gate: {control: approval, for_each: "[1, 2]", message: "Go on with ${{ item }}?"}}
        next: {by: "state.by + gate.by"}
    outputs: {by: "${{ rounds.by }}"}
""")


def test_answers_reach_approvals_by_full_name_or_for_every_round_and_element() -> None:
    answers = {"rounds.gate": Answer(approved=True, by="Ann"), "rounds#1.gate[0]": True}
    run(GATES, answers=answers).assert_succeeded(by=["Ann", "Ann", None, "Ann"])


def test_an_approval_that_nobody_answers_leaves_the_run_waiting_and_says_what_it_asks() -> None:
    outcome = run(GATES, answers={"rounds.gates": True})
    assert outcome.status is RunStatus.WAITING
    with pytest.raises(AssertionError, match=r"waiting: rounds#0.gate\[0\] asks 'Go on with 1"):
        outcome.assert_succeeded()


@pytest.mark.parametrize(("word", "taken"), [("approve", "succeeded"), ("reject", "skipped")])
def test_an_approval_that_nobody_answers_in_time_does_what_on_timeout_says(word: str, taken: str) -> None:
    outcome = run(workflow(f"""
        name: Late
        nodes:
          gate: {{control: approval, timeout: 2d, on_timeout: {word}}}
          after: {{operator: debug.value, inputs: {{value: 1}}, after: [gate]}}
    """))  # fmt: skip
    outcome.assert_node("after", status=taken)
    assert outcome.elapsed_s >= 2 * 86_400


def test_a_rejection_is_an_answer() -> None:
    outcome = run(workflow("""
        name: No
        nodes: {gate: {control: approval}}
        outputs: {approved: "${{ gate.approved }}", comment: "${{ gate.comment }}"}
    """), answers={"gate": Answer(approved=False, comment="not yet")})  # fmt: skip
    outcome.assert_succeeded(approved=False, comment="not yet")


def test_a_run_that_asks_already_is_answered_in_its_own_process() -> None:
    async def whole() -> RunStatus:
        async with Symphony.open(memory=True) as symphony:
            gates = loads("name: t\nnodes: {a: {control: approval, timeout: 1h}}", "yaml")
            handle = await symphony.start(gates)
            async for event in handle.events():
                if event.type == "node.waiting":
                    handle.answer("a", approved=True)
            return (await handle.result()).status

    assert asyncio.run(whole()) is RunStatus.SUCCEEDED


def test_threads_that_take_long_to_end_do_not_make_the_clock_jump() -> None:
    """From Python 3.12 on asyncio itself waits for them with a limit, measured on the loop's clock."""
    go_on, clock = threading.Event(), FakeClock()

    async def leaves_a_thread() -> None:
        asyncio.get_running_loop().run_in_executor(None, go_on.wait)
        real = threading.Timer(0.05, go_on.set)
        real.start()

    began_s = clock.monotonic_s()
    drive(leaves_a_thread(), clock)
    assert go_on.is_set()
    assert clock.monotonic_s() - began_s < 100


def test_a_large_output_with_a_secret_is_given_as_it_is() -> None:
    flow = workflow("""
        name: Large
        env: [TOKEN]
        inputs: {pad: {type: string}}
        nodes:
          make: {operator: debug.value, inputs: {value: "${{ inputs.pad + env.TOKEN }}"}}
        outputs: {made: "${{ make.result }}"}
    """)
    token, pad = "hunter2-hunter3", "x" * 40_000
    outcome = run(flow, {"pad": pad}, environment={"TOKEN": token})
    assert outcome.outputs == {"made": pad + token}


def test_an_expression_over_much_data_is_evaluated_at_once_and_delays_take_no_time() -> None:
    heavy = workflow("""
        name: heavy
        inputs: {rows: {type: any}}
        nodes:
          n: {operator: debug.value, inputs: {value: "${{ size(inputs.rows.filter(r, r.id >= 0)) }}"}}
          d: {control: delay, for: 1h}
        outputs: {n: "${{ n.result }}"}
        """)
    outcome = run(heavy, {"rows": [{"id": i} for i in range(3_000)]})
    outcome.assert_succeeded(n=3_000)
    assert outcome.elapsed_s >= 3_600


@pytest.mark.slow
def test_a_process_that_computed_keeps_no_delay_waiting(tmp_path: Path) -> None:
    (tmp_path / "greeting.j2").write_text("{% for i in range(3) %}hi {% endfor %}")
    program = (
        "from symphony.testing import run, workflow\n"
        "t = workflow('name: T\\nnodes:\\n"
        "  a: {operator: text.render, inputs: {template: greeting.j2}}\\n"
        "  d: {control: delay, for: 10d, after: [a]}\\n"
        "  b: {operator: text.render, inputs: {template: greeting.j2}, after: [d]}\\n"
        'outputs: {b: "${{ b.text }}"}\')\n'
        "outcome = run(t)\n"
        "outcome.assert_succeeded(b='hi hi hi ')\n"
        "assert outcome.elapsed_s >= 864_000\n"
    )
    environment = {"HOME": str(tmp_path), "SYMPHONY_HOME": str(tmp_path / "home"), "PATH": "/bin:/usr/bin"}
    command = [sys.executable, "-P", "-W", "error", "-c", program]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, b"")
