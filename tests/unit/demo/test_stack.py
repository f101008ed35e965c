"""Starting the demo's stack: its ports, and when it is given up."""

import json
import socket

import pytest

from infra.demo.stack import port_or_free, trouble
from infra.errors import PortTaken


def test_a_taken_port_is_replaced_unless_it_was_asked_for() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert port_or_free("127.0.0.1", None, port) not in (port, 0)
        with pytest.raises(PortTaken, match=f"port {port} on"):
            port_or_free("127.0.0.1", port, 1)


def test_processes_that_keep_ending_are_given_up_with_their_last_words() -> None:
    started = json.dumps({"event": "started", "process": "kafka"}).encode()
    ended = json.dumps({"process": "kafka", "exit_code": 1, "last_words": "no space"}).encode()
    assert trouble([started, b"not json", ended, ended]) is None
    other = json.dumps({"process": "sinks", "last_words": "waiting"}).encode()
    assert trouble([other, ended, other, ended]) is None
    assert trouble([ended, started, ended, other, ended]) == "kafka: no space"
