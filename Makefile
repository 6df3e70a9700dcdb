# Every target makes its environment itself: `make dev` and `make test` work on a fresh checkout.

VENV := .venv
BIN := $(VENV)/bin

.PHONY: venv dev test lint format bench clean

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

# lint first, so that the last lines are pytest's summary
test: lint
	@$(BIN)/python -m pytest $(PYTEST_ARGS)

format: $(VENV)/.test-installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.bench-installed
	$(BIN)/python -m bench $(BENCH_ARGS)

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
