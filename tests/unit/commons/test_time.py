import os
import subprocess
import sys
import threading
import uuid
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symphony.commons.time import RandomPool, SortableIds, SystemClock, new_run_id
from symphony.ports.clock import Clock


@given(st.lists(st.floats(-10, 4e9, allow_nan=False), min_size=1, max_size=50), st.integers())
def test_ids_increase_whatever_the_clock_does(times: list[float], seed: int) -> None:
    ticks = iter(times)
    ids = SortableIds(lambda: next(ticks), Random(seed).getrandbits)
    made = [ids.next() for _ in times]
    assert made == sorted(set(made))
    assert all(uuid.UUID(one).version == 7 and uuid.UUID(one).variant == uuid.RFC_4122 for one in made)


def test_an_id_carries_the_time_of_its_making() -> None:
    made = SortableIds(lambda: 1_700_000_000.123, Random(0).getrandbits).next()
    assert uuid.UUID(made).int >> 80 == 1_700_000_000_123


def test_when_the_random_part_is_used_up_the_next_millisecond_is_taken() -> None:
    ids = SortableIds(lambda: 1.0, lambda bits: (1 << bits) - 1)
    first, second = ids.next(), ids.next()
    assert uuid.UUID(first).int >> 80 == 1000
    assert uuid.UUID(second).int >> 80 == 1001


def test_threads_never_get_the_same_id() -> None:
    made: list[str] = []

    def make() -> None:
        made.extend(new_run_id() for _ in range(200))

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == 800


async def test_the_system_clock_goes_forward_and_waits() -> None:
    clock: Clock = SystemClock()
    before = clock.monotonic_s()
    await clock.sleep(0.001)
    assert clock.monotonic_s() - before >= 0.001
    assert clock.now_s() > 1_700_000_000


def test_pooled_bits_fill_their_range_and_no_more() -> None:
    pool = RandomPool()
    assert pool.bits(0) == 0
    for count in (1, 26, 32, 48, 74):
        seen = 0
        for _ in range(400):
            one = pool.bits(count)
            assert 0 <= one < 1 << count
            seen |= one
        assert seen == (1 << count) - 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_forked_process_draws_other_bits_than_its_parent() -> None:
    program = """
import os, sys
from symphony.commons.time import random_bits
random_bits(32)
reading, writing = os.pipe()
if os.fork() == 0:
    os.write(writing, str(random_bits(128)).encode())
    os._exit(0)
print(os.read(reading, 100) != str(random_bits(128)).encode())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"
