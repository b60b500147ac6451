"""All of Symphony's own settings, as types. `commons.config` reads them."""

import re
from decimal import Decimal
from typing import Annotated, Final, Literal, TypeAlias

import msgspec

from symphony.commons.components import ComponentConfig, RetryPolicy
from symphony.commons.components import Count as ComponentCount
from symphony.commons.components import Seconds as ComponentSeconds
from symphony.commons.logging import LoggingConfig
from symphony.commons.quantities import DURATION, SIZE
from symphony.commons.retention import RetentionRules, TierRules
from symphony.commons.secrets import Secret

MODEL_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/+-]{0,99}")
"""What a configured model may be called; `@` would begin a version."""
KEY_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
PREFIX: Final = re.compile(r"(?=.{1,100}$)[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")
_THIS_MACHINE: Final = ("localhost", "127.0.0.1", "[::1]")
CURRENCY: Final = re.compile(r"[A-Z]{3}")

Provider: TypeAlias = Literal["openai", "anthropic", "llama", "minilm"]
Kind: TypeAlias = Literal["chat", "embedding"]
ArbiterStrategy: TypeAlias = Literal["fair", "priority", "round-robin", "collaborative", "queue"]
Positive: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=1_000_000_000)]
Seconds: TypeAlias = Annotated[float, msgspec.Meta(gt=0, le=86_400)]
Duration: TypeAlias = Annotated[
    str, msgspec.Meta(pattern=f"^(?:{DURATION.pattern})$", description="a duration such as 12h or 30d")
]
Size: TypeAlias = Annotated[
    str, msgspec.Meta(pattern=f"^(?i:{SIZE.pattern})$", description="a size such as 500MB or 10GiB")
]
Weight: TypeAlias = Annotated[float, msgspec.Meta(ge=0, le=1_000)]


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all settings: a value of the wrong type or an unknown key is an error."""


class ArbiterModelConfig(Settings, frozen=True, kw_only=True):
    """The calls of one model that may be under way at once, in all runs of the home together.

    With the strategy `collaborative`, up to `batch` calls share one of them.
    """

    calls: Positive
    batch: Positive = 1


class OwnerRetries(RetryPolicy, frozen=True, kw_only=True):
    """The pauses between two looks for the owner of what is shared. `attempts` does not count: time does."""

    initial_s: ComponentSeconds = 0.02
    max_s: ComponentSeconds = 0.2


class ArbiterConfig(ComponentConfig, frozen=True, kw_only=True):
    """What the runs of this home share, and in which order those that wait get it. Unset: no limit.

    `cores`, `memory_mb` and `operators` bound what steps use at once: processor, declared memory, calls of
    operators that use the processor. `ageing`: seconds of waiting that are worth one step of priority.
    `window`: seconds over which shares are compared. `weights`: by user, 1 for those who are not in it.
    `record`: write what the arbiter is told and decides into files that can be replayed.
    The arbiter belongs to one process of the home: others wait for one that does not answer for `timeout_s`.
    Without `enabled`, each process has one of its own; without `metrics_enabled`, no events are published.
    """

    timeout_s: ComponentSeconds = 5.0
    retry_policy: OwnerRetries = OwnerRetries()
    strategy: ArbiterStrategy = "fair"
    cores: Annotated[float, msgspec.Meta(ge=0.01, le=1_000_000)] | None = None
    memory_mb: Positive | None = None
    operators: Positive | None = None
    ageing: Seconds = 10.0
    window: Seconds = 60.0
    weights: dict[str, Annotated[float, msgspec.Meta(gt=0, le=1_000_000)]] = {}
    record: bool = False
    models: dict[str, ArbiterModelConfig] = {}


class BusConfig(Settings, frozen=True, kw_only=True):
    """The NATS server that joins the bus of this home to those of others; without `nats`, none does.

    `nats` is the address of one server, or of several of a cluster with commas between. All homes
    with the same `prefix` there share a bus. `token` and `nkey` are names of environment
    variables that hold the secret, never the secret. `ca`, `cert` and `cert_key` are PEM files.
    """

    nats: str | None = None
    prefix: str = "symphony"
    token: str | None = None
    nkey: str | None = None
    ca: str | None = None
    cert: str | None = None
    cert_key: str | None = None

    @property
    def servers(self) -> tuple[str, ...]:
        """Return the addresses, one by one."""
        return tuple(one.strip() for one in (self.nats or "").split(",") if one.strip())

    @property
    def encrypted(self) -> bool:
        """True if every connection must use TLS."""
        return self.ca is not None or self.cert is not None or "tls://" in (self.nats or "")


class DatabaseConfig(Settings, frozen=True, kw_only=True):
    """Where the data API keeps its tables; without `url`, a file in the home."""

    url: Secret | None = None


class EncryptionConfig(Settings, frozen=True, kw_only=True):
    """Whether the contents of artifacts are encrypted on the disk, and what opens their key.

    `passphrase` is the name of an environment variable, never the passphrase. In its place, `key_file` names
    a file with a random key, or `key_command` a program, with its arguments, that prints one.
    """

    enabled: bool = False
    passphrase: str = "SYMPHONY_PASSPHRASE"  # noqa: S105  (the name of a variable)
    key_file: str | None = None
    key_command: tuple[str, ...] = ()


class LogsConfig(Settings, frozen=True, kw_only=True):
    """What nodes print. `node_mb` and `run_mb` bound one node and one run, in megabytes.

    Logs of runs that have ended are removed when they are older than `keep_days`, when there are
    more than `keep_runs`, or when all together exceed `max_mb`; the runs themselves stay.
    """

    node_mb: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 16
    run_mb: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 128
    keep_days: Annotated[int, msgspec.Meta(ge=0, le=36_500)] = 30
    keep_runs: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 1_000
    max_mb: Annotated[int, msgspec.Meta(ge=1, le=10_000_000)] = 2_048


class QualityConfig(Settings, frozen=True, kw_only=True):
    """What each part of the quality of an artifact counts, from 0 on."""

    validity: Weight = 0.4
    completeness: Weight = 0.2
    use: Weight = 0.2
    rating: Weight = 0.2


class SearchConfig(Settings, frozen=True, kw_only=True):
    """The search of artifacts. `text`: whether their words are in the index; unset, if they are plain."""

    text: bool | None = None
    quality: QualityConfig = QualityConfig()


class TracingConfig(Settings, frozen=True, kw_only=True):
    """OpenTelemetry traces of runs, with the extra `otel`. `enabled` unset: if an endpoint is known.

    `endpoint` is the base URL of an OTLP receiver over HTTP, such as `http://localhost:4318`; the
    standard `OTEL_*` variables win.
    """

    enabled: bool | None = None
    endpoint: str | None = None


class PoolRetries(RetryPolicy, frozen=True, kw_only=True):
    """How the owner of the pool is looked for: the pauses, and how many may end with one call under way."""

    attempts: ComponentCount = 10
    initial_s: ComponentSeconds = 0.02
    max_s: ComponentSeconds = 0.2


class PoolConfig(ComponentConfig, frozen=True, kw_only=True):
    """The models that run on this machine. `memory_mb`: megabytes for all that are loaded at once.

    Unset, it is four fifths of the memory. `models` bounds their number. The pool belongs to one
    process of the home: `timeout_s` is how long others wait for one that does not answer, and
    `retry_policy.attempts` how many that end with a call under way until the call fails. Without
    `enabled`, each process has a pool of its own; without `metrics_enabled`, no events are published.
    `lookahead` loads what running graphs need next, `markov` what other runs asked for next, and `histogram`
    keeps idle models for as long as their pauses used to be; without it, for `keep_s` seconds. A model that
    is not loaded after `load_s` seconds is given up.
    """

    timeout_s: ComponentSeconds = 5.0
    retry_policy: PoolRetries = PoolRetries()
    memory_mb: Annotated[int, msgspec.Meta(ge=1, le=100_000_000)] | None = None
    models: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 100
    lookahead: bool = True
    markov: bool = True
    histogram: bool = True
    keep_s: ComponentSeconds = 60.0
    load_s: ComponentSeconds = 300.0


class ValueConfig(Settings, frozen=True, kw_only=True):
    """The weights of what makes an artifact worth keeping, for rules with `max_total`.

    `half_life`: after how long without use the recency has halved.
    """

    recency: Weight = 1.0
    frequency: Weight = 1.0
    quality: Weight = 1.0
    size: Weight = 0.5
    half_life: Duration = "30d"


class RunRetentionConfig(Settings, frozen=True, kw_only=True):
    """Which runs that have ended `symphony runs prune` deletes without being told, and `automatic` upkeep.

    Those older than `max_age`, more than `max_count`, or beyond `max_total` of their files. Without
    limits, none.
    """

    max_age: Duration | None = None
    max_count: Annotated[int, msgspec.Meta(ge=0, le=10_000_000)] | None = None
    max_total: Size | None = None


class CacheRetentionConfig(Settings, frozen=True, kw_only=True):
    """What the cache of results keeps: those used last, up to `max_total`, and up to `max_count`.

    None that is older than `max_age`.
    """

    max_total: Size = "512MiB"
    max_count: Annotated[int, msgspec.Meta(ge=0, le=100_000_000)] | None = None
    max_age: Duration | None = None


class RetentionConfig(Settings, frozen=True, kw_only=True):
    """What stays in the home, and for how long. `trash`: how long artifacts can be brought back.

    `artifacts` is a list of rules. `automatic`: once a day, after a run, what may go by these settings goes.
    """

    trash: Duration = "7d"
    automatic: bool = False
    artifacts: RetentionRules | None = None
    value: ValueConfig = ValueConfig()
    runs: RunRetentionConfig = RunRetentionConfig()
    cache: CacheRetentionConfig = CacheRetentionConfig()


class TiersConfig(Settings, frozen=True, kw_only=True):
    """Which artifacts take less room and longer to read. `rules` is a list of rules; without any, none move.

    What was stored or used within `rest` stays hot, and what is used becomes hot. `cold` is the address of
    the cold tier: a folder, or s3://BUCKET/PREFIX.
    """

    rest: Duration = "7d"
    cold: str | None = None
    rules: TierRules | None = None


class SymphonyConfig(Settings, frozen=True, kw_only=True):
    """The engine. `concurrency`: how many nodes run at once unless a run says otherwise.

    `value_mb`: how large any one value may be, in MiB.
    """

    concurrency: Annotated[int, msgspec.Meta(ge=1, le=10_000)] | None = None
    cache: bool = True
    value_mb: Annotated[int, msgspec.Meta(ge=1, le=2_000)] = 256


class RunConfig(Settings, frozen=True, kw_only=True):
    """For whom runs are, unless a command says otherwise: that decides who shares what is scarce.

    Unset, `user` is the name of whoever is logged in, and `project` that of the folder. Runs of a higher
    `priority` go first.
    """

    user: Annotated[str, msgspec.Meta(min_length=1, max_length=100)] | None = None
    project: Annotated[str, msgspec.Meta(min_length=1, max_length=100)] | None = None
    priority: Annotated[int, msgspec.Meta(ge=-1_000, le=1_000)] = 0


class HttpConfig(Settings, frozen=True, kw_only=True):
    """What operators may ask over HTTP: nothing but `allow`.

    Each is a host (`api.example.org`), all below one (`*.example.com:8443`), an address, or a
    network (`10.0.0.0/8`). Addresses that are not public must be listed themselves.
    """

    allow: tuple[str, ...] = ()


class ArtifactsConfig(Settings, frozen=True, kw_only=True):
    """Where the contents of artifacts lie. `store`: a folder or `s3://BUCKET/PREFIX` to which full packs go.

    Without it, they stay in the home. `cache`: how much of what is there may be kept here as well.
    """

    store: str | None = None
    cache: Size = "1GiB"


class ObjectStorageConfig(Settings, frozen=True, kw_only=True):
    """How buckets are reached, wherever the settings name one as `s3://BUCKET/PREFIX`.

    `endpoint`: of a service other than Amazon's, such as http://127.0.0.1:9000. Without keys the standard
    AWS_ variables have them, or the role of the machine. `timeout`: the longest that one request takes;
    `patience`: how long a call that fails is tried again. Both in seconds.
    """

    endpoint: (
        Annotated[
            str,
            msgspec.Meta(
                pattern="^https?://[^/?#@\\s]+/?$", description="an address such as https://HOST:PORT"
            ),
        ]
        | None
    ) = None
    region: str | None = None
    access_key_id: Secret | None = None
    secret_access_key: Secret | None = None
    timeout: Seconds = 60.0
    patience: Seconds = 20.0


class OperatorsConfig(Settings, frozen=True, kw_only=True):
    """Python files of operators that every workflow may use, beside those that ship with Symphony.

    Relative paths are looked up in the folder that the home `.symphony` lies in, or in a home of another
    name itself. Only runs execute them.
    """

    files: tuple[str, ...] = ()


class SharedBudgetConfig(Settings, frozen=True, kw_only=True):
    """What the models of several runs may use up together, in each period.

    `of`: one budget for all runs, or one for each user or project; `only` for the one of this name.
    `exceeded`: what happens to a request that no longer fits.
    """

    of: Literal["all", "user", "project"] = "all"
    only: Annotated[str, msgspec.Meta(min_length=1, max_length=100)] | None = None
    per: Literal["day", "month", "ever"] = "day"
    money: Decimal | None = None
    tokens: Positive | None = None
    calls: Positive | None = None
    exceeded: Literal["wait", "fail"] = "wait"


class BudgetConfig(Settings, frozen=True, kw_only=True):
    """What the models of any one run may use up; a workflow or a command line may set less.

    `money` is in `currency`, which is that of all prices; `tokens` read and written. `shared` are budgets
    of several runs together; their days begin in `timezone`, that of the machine if it is unset.
    """

    money: Decimal | None = None
    tokens: Positive | None = None
    calls: Positive | None = None
    currency: str = "USD"
    timezone: Annotated[str, msgspec.Meta(min_length=1, max_length=100)] | None = None
    shared: tuple[SharedBudgetConfig, ...] = ()


class Price(Settings, frozen=True, kw_only=True):
    """What a million tokens cost: read, written, and read from the provider's cache.

    `cached` is `input` unless it is set.
    """

    input: Decimal
    output: Decimal = Decimal(0)
    cached: Decimal | None = None


class ModelConfig(Settings, frozen=True, kw_only=True):
    """One model that workflows may name. `key` is the name of an environment variable, never a key.

    Times are seconds: to connect, until the first byte, between two bytes. `retries` counts
    the tries after the first. `batch` is the number of texts in one request for embeddings.
    A `llama` model answers `slots` calls at once, each with its own `context`.
    After `circuit_failures` failures in a row the model is not asked for `circuit_seconds`.
    """

    provider: Provider | None = None
    kind: Kind = "chat"
    model: str | None = None
    url: str | None = None
    key: str | None = None
    stream: bool = True
    file: str | None = None
    threads: Annotated[int, msgspec.Meta(ge=1, le=256)] = 1
    slots: Annotated[int, msgspec.Meta(ge=1, le=64)] = 1
    context: Annotated[int, msgspec.Meta(ge=64, le=10_000_000)] = 4096
    max_tokens: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 1024
    batch: Annotated[int, msgspec.Meta(ge=1, le=2048)] = 64
    concurrency: Annotated[int, msgspec.Meta(ge=1, le=10_000)] | None = None
    requests_per_minute: Positive | None = None
    tokens_per_minute: Positive | None = None
    retries: Annotated[int, msgspec.Meta(ge=0, le=20)] = 4
    circuit_failures: Annotated[int, msgspec.Meta(ge=0, le=1_000)] = 10
    circuit_seconds: Seconds = 30.0
    connect_timeout: Seconds = 10.0
    first_byte_timeout: Seconds = 120.0
    idle_timeout: Seconds = 60.0
    price: Price | None = None


_OF_REQUESTS: Final = frozenset({"connect_timeout", "first_byte_timeout", "idle_timeout", "price"})
_OF_SERVERS: Final = _OF_REQUESTS | {
    "model", "url", "key", "concurrency", "requests_per_minute", "tokens_per_minute", "retries",
    "circuit_failures", "circuit_seconds",
}  # fmt: skip
_USED: Final[dict[tuple[Provider, Kind], frozenset[str]]] = {
    ("openai", "chat"): _OF_SERVERS | {"stream", "max_tokens"},
    ("openai", "embedding"): _OF_SERVERS | {"batch"},
    ("anthropic", "chat"): _OF_SERVERS | {"stream", "max_tokens"},
    ("llama", "chat"): _OF_REQUESTS | {"file", "threads", "slots", "context", "max_tokens"},
    ("llama", "embedding"): _OF_REQUESTS | {"file", "threads", "slots", "context", "batch"},
}


def settings_used(provider: Provider | None, kind: Kind) -> frozenset[str]:
    """Return the keys of a model's settings that its provider makes use of; the others change nothing."""
    if provider is None or provider == "minilm":
        return frozenset({"provider"})
    return _USED.get((provider, kind), frozenset()) | {"provider", "kind"}


class Config(Settings, frozen=True, kw_only=True):
    """All of Symphony's own settings. `models` maps a model's id to what stands behind it."""

    arbiter: ArbiterConfig = ArbiterConfig()
    artifacts: ArtifactsConfig = ArtifactsConfig()
    budget: BudgetConfig = BudgetConfig()
    bus: BusConfig = BusConfig()
    database: DatabaseConfig = DatabaseConfig()
    encryption: EncryptionConfig = EncryptionConfig()
    http: HttpConfig = HttpConfig()
    logging: LoggingConfig = LoggingConfig()
    logs: LogsConfig = LogsConfig()
    models: dict[str, ModelConfig] = {}
    object_storage: ObjectStorageConfig = ObjectStorageConfig()
    operators: OperatorsConfig = OperatorsConfig()
    pool: PoolConfig = PoolConfig()
    retention: RetentionConfig = RetentionConfig()
    search: SearchConfig = SearchConfig()
    run: RunConfig = RunConfig()
    symphony: SymphonyConfig = SymphonyConfig()
    tiers: TiersConfig = TiersConfig()
    tracing: TracingConfig = TracingConfig()

    def __post_init__(self) -> None:
        if not CURRENCY.fullmatch(self.budget.currency):
            raise ValueError("budget.currency must be three capital letters, such as USD")
        if why := _wrong_budgets(self.budget):
            raise ValueError(f"budget.{why}")
        if why := _wrong_bus(self.bus):
            raise ValueError(f"bus.{why}")
        if why := _wrong_encryption(self.encryption):
            raise ValueError(f"encryption.{why}")
        for name, model in self.models.items():
            if why := _wrong_model(name, model):
                raise ValueError(f"models.{name}: {why}")
        if self.tiers.cold is None and any(
            rule.tier == "cold" for rule in (self.tiers.rules.rules if self.tiers.rules else ())
        ):
            raise ValueError("tiers.cold must be the address of a place, since a rule moves artifacts there")
        if (self.object_storage.access_key_id is None) != (self.object_storage.secret_access_key is None):
            raise ValueError("object_storage: access_key_id and secret_access_key go together")

    @property
    def key_names(self) -> frozenset[str]:
        """Return the variables that hold the keys of models, of the bus and of the artifacts."""
        names = {model.key for model in self.models.values()} | {self.bus.token, self.bus.nkey}
        if self.encryption.key_file is None and not self.encryption.key_command:
            names.add(self.encryption.passphrase)  # it opens what is there also while encryption is off
        return frozenset(name for name in names if name is not None)


def _wrong_budgets(budget: BudgetConfig) -> str | None:
    """Return what is wrong with the budgets that runs share; None if nothing is."""
    for one in budget.shared:
        if one.money is None and one.tokens is None and one.calls is None:
            return "shared must limit money, tokens or calls"
        if one.money is not None and not (one.money.is_finite() and 0 <= one.money <= 1_000_000_000_000):
            return "shared: money must be an amount from 0 to 10^12"
        if one.only is not None and one.of == "all":
            return 'shared: only needs of = "user" or "project"'
    if budget.timezone is not None:
        from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

        try:
            ZoneInfo(budget.timezone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            return "timezone must be the name of a time zone that this machine knows, such as Europe/Berlin"
    return None


def _wrong_bus(bus: BusConfig) -> str | None:
    """Return what is wrong with how NATS is reached; None if nothing is."""
    if bus.nats is None:
        return None
    if not bus.servers:
        return "nats must be an address, such as nats://127.0.0.1:4222"
    for address in bus.servers:
        found = re.fullmatch(
            r"(?:nats|tls)://([A-Za-z0-9._-]+|\[[0-9a-fA-F:.]+\])(?::[0-9]{1,5})?/?", address
        )
        if found is None:
            return "nats must be nats://HOST:PORT or tls://HOST:PORT; name a secret in token or nkey"
        if bus.token is not None and not bus.encrypted and found[1] not in _THIS_MACHINE:
            return "nats must be tls://, or ca be set: the token would travel in the clear"
    if not PREFIX.fullmatch(bus.prefix):
        return "prefix must be letters, digits, - and _, with dots between: at most 100"
    for key, name in (("token", bus.token), ("nkey", bus.nkey)):
        if name is not None and not KEY_NAME.fullmatch(name):
            return f"{key} must be the name of an environment variable, not the secret itself"
    if bus.token is not None and bus.nkey is not None:
        return "token and nkey do not go together: a server asks for one of them"
    if (bus.cert is None) != (bus.cert_key is None):
        return "cert and cert_key go together"
    return None


def _wrong_encryption(encryption: EncryptionConfig) -> str | None:
    """Return what is wrong with how the key of the artifacts is opened; None if nothing is."""
    if not KEY_NAME.fullmatch(encryption.passphrase):
        return "passphrase must be the name of an environment variable, not the passphrase itself"
    if encryption.key_file is not None and encryption.key_command:
        return "key_file and key_command do not go together: the key comes from one of them"
    return None


def _wrong_model(name: str, model: ModelConfig) -> str | None:
    """Return what is wrong with one entry; None if nothing is."""
    if not MODEL_ID.fullmatch(name):
        return "a model's id is letters, digits and . _ : / + -, at most 100"
    if model.provider is None:
        return "provider is missing: openai, anthropic, llama or minilm"
    if model.key is not None and not KEY_NAME.fullmatch(model.key):
        return "key must be the name of an environment variable, not the key itself"
    if model.url is not None and (why := _wrong_url(model.url, keyed=model.key is not None)):
        return f"url {why}"
    if model.kind == "embedding" and model.provider == "anthropic":
        return "provider anthropic has no embeddings"
    if model.provider == "llama" and model.file is None:
        return "provider llama needs file, the path of a GGUF file"
    if model.file is not None and model.provider != "llama":
        return "file is for provider llama only"
    return None


def _wrong_url(url: str, *, keyed: bool) -> str | None:
    found = re.fullmatch(r"(https?)://([^/?#@\s]+)(/[^?#\s]*)?", url)
    if found is None:
        return "must be https://HOST/PATH or http://HOST/PATH, without user, query and fragment"
    host = re.sub(r":\d+$", "", found[2])
    if found[1] == "http" and keyed and host not in _THIS_MACHINE:
        return "must be https: the key would travel in the clear"
    return None
