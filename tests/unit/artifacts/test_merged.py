"""Bodies and records, gone through side by side."""

from hypothesis import given
from hypothesis import strategies as st

from symphony.pit.artifacts.bodies.objects import Stored
from symphony.pit.artifacts.store.checking import merged
from symphony.ports.values import Digest

DIGESTS = st.lists(st.text("0123456789abcdef", min_size=1, max_size=2).map(Digest), unique=True).map(sorted)


@given(bodies=DIGESTS, recorded=DIGESTS)
def test_each_digest_comes_once_in_order_with_what_is_there_of_it(
    bodies: list[Digest], recorded: list[Digest]
) -> None:
    stored = {digest: Stored(digest, 1, 0.0) for digest in bodies}
    found = list(merged(iter(stored.values()), iter(recorded)))
    assert found == [
        (digest, stored.get(digest), digest in recorded) for digest in sorted({*bodies, *recorded})
    ]
