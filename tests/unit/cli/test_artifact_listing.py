"""What `symphony artifacts show` prints of where an artifact came from."""

from symphony.cli.views.listing import artifact_text
from symphony.ports.artifacts import ArtifactRecord, Provenance


def shown(origin: Provenance) -> str:
    record = ArtifactRecord(digest="d" * 64, size=1, content_type="text/plain", provenance=[origin])
    text = artifact_text(record, lambda run: f"name-of-{run}", lambda run, node: None)
    return text.splitlines()[-1]


def test_the_run_an_artifact_came_from_has_its_name() -> None:
    origin = Provenance(run_id="r", node="make", port="table", operator="data.sort", version="1.0.0")
    assert shown(origin) == "from     run name-of-r, node make, port table, data.sort 1.0.0"


def test_what_is_not_known_of_an_origin_is_left_out() -> None:
    assert shown(Provenance(run_id="r", node="", port="table", operator="output", version="")) == (
        "from     run name-of-r, port table, output"
    )


def test_what_made_an_artifact_besides_its_inputs_is_shown() -> None:
    origin = Provenance(
        run_id="r", node="n", port="p", operator="gpt", version="1", parameters={"temperature": "0.2"}
    )
    assert shown(origin) == "           temperature = 0.2"
