"""What a rerun says of the run that it takes results from."""

from symphony.cli.views.reusing import reuse_text
from symphony.ports.steering import ReuseSummary


def test_it_counts_nodes_and_elements_and_names_what_runs_again() -> None:
    found = ReuseSummary(
        run_id="run-1",
        nodes=5,
        reused=3,
        again={"test": "it failed", "report": "…"},
        elements={"test": (17, 20)},
    )
    assert reuse_text(found, "run-1").splitlines() == [
        "rerun of run-1: reused 3 of 5 nodes",
        "  test: reused 17 of 20 elements, 3 again",
        "  again: report",
    ]


def test_steps_inside_of_a_loop_that_runs_in_part_are_counted() -> None:
    found = ReuseSummary(run_id="run-1", nodes=1, reused=0, again={"grow": ""}, inside={"grow": 1_001})
    assert reuse_text(found, "run-1").splitlines() == [
        "rerun of run-1: reused 0 of 1 node",
        "  grow: reused 1,001 steps inside, the rest again",
    ]


def test_a_run_of_which_all_is_reused_says_how_to_run_a_node_again() -> None:
    text = reuse_text(ReuseSummary(run_id="run-1", nodes=1, reused=1), "run-1")
    assert text == "rerun of run-1: reused 1 of 1 node; nothing else runs (--from NODE runs a node again)"


def test_of_very_many_the_first_are_named_and_no_name_breaks_the_terminal() -> None:
    names = {f"n{i}\x1b[31m": "it failed" for i in range(1_000)}
    text = reuse_text(
        ReuseSummary(
            run_id="r", nodes=2_000, reused=0, again=names, elements={f"e{i}": (0, 1_000) for i in range(9)}
        ),
        "r",
    )
    assert "\x1b" not in text
    assert len(text.splitlines()) == 8
    assert text.endswith("and 995 more")
    assert "  e4: reused 0 of 1,000 elements, 1,000 again\n  … and of 4 more nodes with elements" in text
