"""REST API over the registry, the measurements and the decisions."""
