"""Kafka security for Faust: librdkafka's properties, translated for aiokafka.

One setting configures every client (`streams.kafka.KafkaConfig.properties`); Faust's client is a
different library, so what it needs is translated here. A property that cannot be honoured is an
error: silently connecting with less security than asked for is worse than not connecting.
"""

import ssl
from collections.abc import Mapping

import faust

from agents.errors import BadConfiguration

TRANSLATED = frozenset(
    {
        "security.protocol",
        "sasl.mechanism",
        "sasl.mechanisms",
        "sasl.username",
        "sasl.password",
        "ssl.ca.location",
        "ssl.certificate.location",
        "ssl.key.location",
        "ssl.key.password",
        "ssl.endpoint.identification.algorithm",
        "enable.ssl.certificate.verification",
    }
)
IGNORED_PREFIXES = (
    "socket.",
    "statistics.",
    "log",
    "debug",
    "broker.address.",
    "reconnect.",
    "retry.",
    "client.id",
    "client.rack",
    "metadata.",
    "topic.metadata.",
)
"""Tuning of librdkafka that says nothing about security: Faust's client has its own."""
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
PROTOCOLS = ("plaintext", "ssl", "sasl_plaintext", "sasl_ssl")


def credentials(
    properties: Mapping[str, str],
) -> faust.SASLCredentials | faust.SSLCredentials | None:
    """Faust's credentials; None for an open broker. Raises BadConfiguration."""
    unknown = sorted(
        name
        for name in properties
        if name not in TRANSLATED and not name.startswith(IGNORED_PREFIXES)
    )
    if unknown:
        raise BadConfiguration(
            f"Kafka properties that the agents cannot honour: {', '.join(unknown)}; "
            f"they know {', '.join(sorted(TRANSLATED))}"
        )
    protocol = properties.get("security.protocol", "plaintext").lower()
    if protocol not in PROTOCOLS:
        raise BadConfiguration(
            f"security.protocol is {protocol!r}; it must be one of {', '.join(PROTOCOLS)}"
        )
    context = _ssl_context(properties) if protocol.endswith("ssl") else None
    if protocol.startswith("sasl_"):
        return _sasl(properties, context)
    return None if context is None else faust.SSLCredentials(context)


def _sasl(properties: Mapping[str, str], context: ssl.SSLContext | None) -> faust.SASLCredentials:
    mechanism = properties.get("sasl.mechanisms", properties.get("sasl.mechanism", ""))
    if mechanism not in MECHANISMS:
        raise BadConfiguration(
            f"sasl.mechanisms is {mechanism!r}; the agents know {', '.join(MECHANISMS)}"
        )
    missing = [name for name in ("sasl.username", "sasl.password") if not properties.get(name)]
    if missing:
        raise BadConfiguration(f"SASL needs {' and '.join(missing)}")
    return faust.SASLCredentials(
        username=properties["sasl.username"],
        password=properties["sasl.password"],
        ssl_context=context,
        mechanism=mechanism,
    )


def _ssl_context(properties: Mapping[str, str]) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=properties.get("ssl.ca.location"))
        certificate = properties.get("ssl.certificate.location")
        if certificate:
            context.load_cert_chain(
                certificate,
                properties.get("ssl.key.location"),
                properties.get("ssl.key.password"),
            )
    except (OSError, ssl.SSLError) as error:
        raise BadConfiguration(
            f"the TLS files (ssl.ca.location, ssl.certificate.location, ssl.key.location) "
            f"cannot be used: {error}"
        ) from error
    if properties.get("ssl.endpoint.identification.algorithm", "https").lower() == "none":
        context.check_hostname = False
    if properties.get("enable.ssl.certificate.verification", "true").lower() == "false":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
