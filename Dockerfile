# The workers of Rheostat: streams, sinks, agents, runner, and the commands topics, migrate, registry.
# Kafka and ClickHouse are not in it, neither as Java nor as an embedded engine: see
# requirements/image.txt and docs/operations.md.
ARG PYTHON=3.13.9-slim-trixie

FROM python:${PYTHON} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /build
RUN python -m venv /opt/rheostat
# Dependencies first: this layer changes only with the lock.
COPY requirements/bootstrap.txt requirements/build.txt requirements/image.txt requirements/
RUN /opt/rheostat/bin/python -m pip install --require-hashes -r requirements/bootstrap.txt \
    && VIRTUAL_ENV=/opt/rheostat /opt/rheostat/bin/uv pip install --no-cache \
        --require-hashes --only-binary :all: -r requirements/image.txt -r requirements/build.txt
# What is not in .dockerignore: the packages, pyproject.toml, README.md and LICENSE.
COPY . .
RUN VIRTUAL_ENV=/opt/rheostat /opt/rheostat/bin/uv pip install --no-cache \
        --no-deps --no-build-isolation . \
    && /opt/rheostat/bin/python -m pip uninstall --yes uv setuptools \
    && /opt/rheostat/bin/python -m pip uninstall --yes pip \
    && python -m compileall -q /opt/rheostat/lib

FROM python:${PYTHON}
COPY --from=build /opt/rheostat /opt/rheostat
RUN useradd --system --uid 10001 --create-home --home-dir /var/lib/rheostat rheostat
ENV PATH=/opt/rheostat/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    RHEOSTAT_DATA_DIR=/var/lib/rheostat \
    RHEOSTAT_HOST=0.0.0.0 \
    RHEOSTAT_METRICS_PORT=9400
USER 10001
WORKDIR /var/lib/rheostat
# /metrics, /healthz and /readyz of a worker.
EXPOSE 9400
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:9400/readyz', timeout=2)"]
ENTRYPOINT ["rheostat"]
CMD ["--help"]
