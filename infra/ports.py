"""Ports that our servers listen on: whether they are free, and which are."""

import errno
import socket
import time
from collections.abc import Iterator

from infra.errors import OperatorError, PortTaken


def require_free(host: str, port: int, remedy: str, wait_s: float = 0.0) -> None:
    """Raises PortTaken, with `remedy` as what to do, when the port stays in use for `wait_s`."""
    deadline = time.monotonic() + wait_s
    while _bindable(host, port) is None:
        if time.monotonic() >= deadline:
            raise PortTaken(f"Port {port} on {host} is in use by another program. {remedy}")
        time.sleep(0.1)


def free_ports(host: str, first: int) -> Iterator[int]:
    """Different free ports: in a row from `first`, skipping taken ones; any when it is 0.

    Raises PortTaken when there are none left.
    """
    given = set()
    candidate = first
    while candidate <= 65535:
        port = _bindable(host, candidate)
        if port is not None and port not in given:
            given.add(port)
            yield port
        candidate += bool(first)
    raise PortTaken(f"No port from {first} up is free on {host}. Set RHEOSTAT_METRICS_PORT lower.")


def _bindable(host: str, port: int) -> int | None:
    """The port, or the one that the system chose for 0; None when it is in use."""
    with socket.socket() as probe:
        # A port whose last connections still linger is free for a server.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return None
            raise OperatorError(
                f"Nothing can listen on {host}:{port}: {error.strerror or error}. RHEOSTAT_HOST "
                "must be an address of this machine, and ports below 1024 need root."
            ) from error
        return int(probe.getsockname()[1])
