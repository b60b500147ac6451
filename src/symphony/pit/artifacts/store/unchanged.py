"""Whether an artifact is still what a verdict was about. Pure."""

import msgspec

from symphony.ports.retention import Standing, StoredName, Tier


def compared(one: Standing) -> Standing:
    """Return the facts that may not change between a verdict and its execution.

    How many artifacts are newer is not among them: more of them would not make it stay. A store compares
    size and age by the body itself. Nor is the tier, which is only how it lies.
    """
    names = tuple(
        sorted((StoredName(name.name, name.given) for name in one.names), key=lambda name: name.name)
    )
    return msgspec.structs.replace(one, names=names, put_at=0.0, size=0, quality=None, tier=Tier.HOT)
