"""Connections between parts of Symphony, wherever they run: `connect` and `listen`.

| address | between |
|---|---|
| `unix:///path` | processes of one user on one machine |
| `shm://NAME` | the same, through shared memory |
| `pipe://NAME` | the same, on Windows |
| `stdio:` | a process and the one that started it (see `spawn`) |
| `tcp://HOST:PORT` | machines and containers; needs a token |
| `memory:NAME` | parts within one event loop |
"""

from symphony.ipc.transports.channel import Channel, EnvelopeReceiver
from symphony.ipc.transports.config import TransportConfig
from symphony.ipc.transports.connection import Connection, Peer, Receiver
from symphony.ipc.transports.ends import Listener
from symphony.ipc.transports.opening import connect, listen
from symphony.ipc.transports.reconnecting import Reconnecting
from symphony.ipc.transports.stdio import Spawned, spawn

__all__ = [
    "Channel",
    "Connection",
    "EnvelopeReceiver",
    "Listener",
    "Peer",
    "Receiver",
    "Reconnecting",
    "Spawned",
    "TransportConfig",
    "connect",
    "listen",
    "spawn",
]
