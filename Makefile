# Every target makes its environment itself: `make dev` and `make test` work on a fresh checkout.

VENV := .venv
BIN := $(VENV)/bin
# Files side by side: most of the time goes into waiting for servers, timers and retries. In their
# own order, which begins with the files of few and long tests: xdist would keep those for the end.
PYTEST_ARGS ?= -n 3 --dist loadfile --no-loadscope-reorder

.PHONY: venv dev test suite lint format bench bench-check browser clean

venv: $(VENV)/.test-installed

# a name on the path is not enough: pyenv's shims exist for versions that do not run
$(BIN)/python:
	@set -e; for name in python3.13 python3.12 python3.11 python3; do \
	  if $$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
	    echo "making $(VENV) from $$name"; exec $$name -m venv $(VENV); \
	  fi; \
	done; \
	echo "no Python 3.11 or newer was found: install one first" >&2; exit 1

$(VENV)/.installed: $(BIN)/python setup.cfg pyproject.toml
	$(BIN)/python -m pip install --quiet -e . inngest
	@touch $@

$(VENV)/.test-installed: $(BIN)/python setup.cfg pyproject.toml
	$(BIN)/python -m pip install --quiet -e '.[test,lint]'
	@touch $@ $(VENV)/.installed

$(VENV)/.bench-installed: $(BIN)/python setup.cfg pyproject.toml
	$(BIN)/python -m pip install --quiet -e '.[test,lint,bench]'
	@touch $@ $(VENV)/.installed $(VENV)/.test-installed

# exec: Ctrl-C reaches run.py, which stops server and app
dev: $(VENV)/.installed
	@exec $(BIN)/python examples/quickstart/run.py

lint: $(VENV)/.test-installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# the dashboard's tests need a Chromium: without one, and without apt as root, they are skipped
browser:
	@command -v chromium chromium-browser google-chrome >/dev/null 2>&1 || [ -n "$$CHROMIUM" ] || \
	  { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1 && \
	    echo "installing chromium for the dashboard's tests" && \
	    apt-get update -qq >/dev/null 2>&1 && \
	    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
	      chromium fonts-dejavu-core >/dev/null 2>&1; } || \
	  echo "no Chromium here: the dashboard's browser tests will be skipped"

# Writes the commit that passed to $(VENV)/.passed. Tests chosen by hand say nothing of the whole.
test: $(VENV)/.test-installed
ifeq ($(origin PYTEST_ARGS)$(PYTEST_ADDOPTS),file)
	@+.ci/passed $(VENV)/.passed $(MAKE) --no-print-directory suite
else
	@+$(MAKE) --no-print-directory suite
endif

# a broker that is not Redis: without RabbitMQ, and without apt as root, its tests are skipped
rabbit:
	@[ -x /usr/lib/rabbitmq/bin/rabbitmq-server ] || \
	  { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1 && \
	    echo "installing rabbitmq-server for the brokers' tests" && \
	    apt-get update -qq >/dev/null 2>&1 && \
	    DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -qq --no-install-recommends \
	      rabbitmq-server >/dev/null 2>&1; } || \
	  echo "no RabbitMQ here: its tests will be skipped"

# Lint first, so that the last lines are pytest's summary. Tests start hundreds of processes: from
# bytecode, even where PYTHONDONTWRITEBYTECODE is set, each saves half a second of CPU.
suite: lint browser rabbit
	@$(BIN)/python -m compileall -q inngest_py tests
	@$(BIN)/python -m pytest -p tests.second_run -p tests.slow $(PYTEST_ARGS)

format: $(VENV)/.test-installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.bench-installed
	$(BIN)/python -m bench $(BENCH_ARGS)

# some two minutes; exit code 1 when seq5, against DBOS, is surely more than 15 % slower than recorded
bench-check: $(VENV)/.bench-installed
	@$(BIN)/python -m bench.check $(BENCH_ARGS)

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
