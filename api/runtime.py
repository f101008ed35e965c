"""What one app keeps between requests."""

from dataclasses import dataclass

from api.answers import Answers
from api.gate import Gate
from api.measurements import Measurements
from api.render import Renderer
from api.services import Services
from api.versions import VersionIndex
from api.writer import Writer


@dataclass(frozen=True, slots=True)
class Api:
    """One per app, made from its services."""

    services: Services
    gate: Gate
    writer: Writer
    renderer: Renderer
    models: VersionIndex
    measurements: Measurements
    answers: Answers

    @classmethod
    def over(cls, services: Services) -> "Api":
        """The parts with their defaults."""
        measurements = Measurements(services.clickhouse, services.clock)
        return cls(
            services,
            Gate(services),
            Writer(services),
            Renderer(),
            VersionIndex(),
            measurements,
            Answers(),
        )
