"""Ports that our servers listen on: whether they are free, and which are."""

import errno
import random
import socket
import time
from collections.abc import Iterator
from itertools import cycle, islice

from infra.errors import OperatorError, PortTaken

ANY = range(20_000, 30_000)
"""Below those that systems give to outgoing connections (Linux from 32768, others from 49152): one
of these could take a port between its choice and its use."""
_any = cycle(random.sample(ANY, len(ANY)))


def require_free(host: str, port: int, remedy: str, wait_s: float = 0.0) -> None:
    """Raises PortTaken, with `remedy` as what to do, when the port stays in use for `wait_s`."""
    deadline = time.monotonic() + wait_s
    while not _bindable(host, port):
        if time.monotonic() >= deadline:
            raise PortTaken(f"Port {port} on {host} is in use by another program. {remedy}")
        time.sleep(0.1)


def free_ports(host: str, first: int) -> Iterator[int]:
    """Different free ports: in a row from `first`, skipping taken ones; any of ANY when it is 0.

    Raises PortTaken when there are none left.
    """
    for candidate in range(first, 65536) if first else islice(_any, len(ANY)):
        if _bindable(host, candidate):
            yield candidate
    raise PortTaken(f"No port from {first} up is free on {host}. Set RHEOSTAT_METRICS_PORT lower.")


def _bindable(host: str, port: int) -> bool:
    """Whether it is free. Raises OperatorError when nothing can listen there at all."""
    with socket.socket() as probe:
        # A port whose last connections still linger is free for a server.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            raise OperatorError(
                f"Nothing can listen on {host}:{port}: {error.strerror or error}. RHEOSTAT_HOST "
                "must be an address of this machine, and ports below 1024 need root."
            ) from error
        return True
