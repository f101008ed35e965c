"""librdkafka's security properties, as Faust's client gets them."""

import ssl

import faust
import pytest

from agents.errors import BadConfiguration
from agents.security import credentials

SASL = {
    "security.protocol": "SASL_PLAINTEXT",
    "sasl.mechanisms": "SCRAM-SHA-512",
    "sasl.username": "me",
    "sasl.password": "secret",
}


def test_an_open_broker_needs_none() -> None:
    assert credentials({}) is None
    assert credentials({"security.protocol": "plaintext", "socket.timeout.ms": "1"}) is None


def test_sasl() -> None:
    found = credentials(SASL)
    assert isinstance(found, faust.SASLCredentials)
    assert (found.username, found.password) == ("me", "secret")
    assert found.mechanism.value == "SCRAM-SHA-512"
    assert found.protocol.value == "SASL_PLAINTEXT"
    assert "secret" not in repr(found)


def test_tls() -> None:
    found = credentials({"security.protocol": "ssl"})
    assert isinstance(found, faust.SSLCredentials)
    assert found.context.verify_mode is ssl.CERT_REQUIRED
    assert found.context.check_hostname
    lax = credentials({"security.protocol": "ssl", "ssl.endpoint.identification.algorithm": "none"})
    assert isinstance(lax, faust.SSLCredentials)
    assert not lax.context.check_hostname
    assert lax.context.verify_mode is ssl.CERT_REQUIRED


def test_sasl_over_tls() -> None:
    found = credentials({**SASL, "security.protocol": "sasl_ssl"})
    assert isinstance(found, faust.SASLCredentials)
    assert found.protocol.value == "SASL_SSL"


@pytest.mark.parametrize(
    ("properties", "says"),
    [
        ({"sasl.oauthbearer.config": "x"}, "sasl.oauthbearer.config"),
        ({"security.protocol": "tls"}, "must be one of"),
        ({**SASL, "sasl.mechanisms": "GSSAPI"}, "the agents know PLAIN"),
        ({**SASL, "sasl.password": ""}, "SASL needs sasl.password"),
        ({"security.protocol": "ssl", "ssl.ca.location": "/no/such"}, "cannot be used"),
    ],
)
def test_what_cannot_be_honoured_is_refused(properties: dict[str, str], says: str) -> None:
    with pytest.raises(BadConfiguration, match=says):
        credentials(properties)
