"""JSON-RPC 2.0 between two peers, over any stream of bytes.

`messages` reads and writes what the specification says, `framing` cuts streams (lines, or the
Content-Length heads of language servers), `peer` asks, answers, cancels and keeps deadlines.
"""

from symphony.ipc.jsonrpc.framing import Framing, HeaderFraming, LineFraming
from symphony.ipc.jsonrpc.messages import RpcError
from symphony.ipc.jsonrpc.peer import JsonRpcPeer

__all__ = ["Framing", "HeaderFraming", "JsonRpcPeer", "LineFraming", "RpcError"]
