"""The models of a pool, the memory that they share, and the rules by which it is used. Values."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class PooledModel:
    """The pool's view of a model.

    `size_bytes` is an estimate; `slots` is how many calls may run at once, 1 or more.
    """

    name: str
    size_bytes: int
    slots: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolBudget:
    """The most that loaded models may take together."""

    bytes_max: int
    models_max: int = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolPolicy:
    """The pool's policy for loading ahead of requests. Each predictor can be switched off.

    `markov_min`: the least probability, in [0, 1], for which a model is loaded ahead. Models idle
    for longer than their keep-alive time end: between `keep_min_s` and `keep_max_s` seconds by the
    histogram of their pauses, `keep_s` while that is silent or off. A model that is not loaded after
    `load_s` seconds is given up.
    """

    lookahead: bool = True
    markov: bool = True
    histogram: bool = True
    markov_min: float = 0.4
    prewarming_max: int = 2
    keep_s: float = 60.0
    keep_min_s: float = 10.0
    keep_max_s: float = 3600.0
    load_s: float = 300.0
    failures_max: int = 3
    """After this many failures in a row, a failure to load refuses all waiting requests."""
