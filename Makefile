# `make demo` and `make test` need Python >= 3.10 and nothing else prepared: all of it goes into .venv.
# PYTHON=python3.12 picks the interpreter, JOBS=4 the number of test processes, ARGS="-k name" goes to pytest.

VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
PYTHONS := $(PYTHON) python3 python3.14 python3.13 python3.12 python3.11 python3.10
JOBS ?= $(shell cores=$$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2); echo $$((cores < 4 ? cores : 4)))
CODE := qdiag tests tools benchmarks
DOCS := NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

.PHONY: help demo papers test real check docs format golden bench clean
.DEFAULT_GOAL := help

help:
	@echo "make demo    find out why a network fails when it is quantized: installs into $(VENV), writes reports/demo"
	@echo "make papers  run the published experiments in small, three minutes each: writes reports/papers"
	@echo "make test    install the development tools into $(VENV), and run the tests"
	@echo "make real    run the tests of real networks, on the weights and images in the folder QDIAG_REAL_DATA"
	@echo "make check   formatting, lint, types, direction of imports, dead code, links of the documentation"
	@echo "make docs    the documentation as a site: writes site/index.html"
	@echo "make format  put the code into its standard form"
	@echo "make golden  write down anew what the tests expect the program to print; look at the difference"
	@echo "make bench   time and memory, as multiples of one float pass"
	@echo "make clean   remove $(VENV), caches and what was built"

demo: $(VENV)/.installed
	@$(BIN)/qdiag demo --out reports/demo

papers: $(VENV)/.installed
	@for name in qat mobilenet repvgg bnn; do $(BIN)/qdiag reproduce $$name --out reports/papers/$$name || exit; done

# One thread for each process: several processes with a thread per core each would wait for one another.
# Neighbouring tests stay in one process, which shares what they have in common, until another one runs dry.
# What Python compiles is kept, whatever the environment says: dozens of tests start the program anew.
PYTEST := PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist worksteal

test: $(VENV)/.installed-dev
	$(PYTEST) -m "not real" $(ARGS)

real: $(VENV)/.installed-dev
	$(PYTEST) -m real $$(grep -rl --include='test_*.py' real_data tests) $(ARGS)

check: $(VENV)/.installed-dev
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/ruff check $(CODE)
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/vulture
	$(DOCS)

# Warnings are errors (mkdocs.yml): a link that leads nowhere, a page that is in no group. The variable silences a notice
# that the theme prints about its successor.
docs: $(VENV)/.installed-dev
	$(DOCS)
	@echo "the documentation is in site/index.html; its search needs a server: $(BIN)/python -m http.server --directory site"

format: $(VENV)/.installed-dev
	$(BIN)/ruff format $(CODE)
	$(BIN)/ruff check --fix $(CODE)

golden: $(VENV)/.installed-dev
	$(BIN)/python -m pytest tests/golden --update-golden
	git diff --stat tests/golden

bench: $(VENV)/.installed-dev
	$(BIN)/python benchmarks/run.py $(ARGS)

clean:
	rm -rf $(VENV) build dist site .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find qdiag tests tools benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.installed: $(BIN)/python pyproject.toml constraints.txt
	@echo "installing qdiag and what it needs into $(VENV); torch is large, the first time takes minutes"
	@$(INSTALL) --editable .
	@touch $@

# Not compiled: most of what the tools bring is never imported, and what is, Python compiles then and keeps.
$(VENV)/.installed-dev: $(BIN)/python pyproject.toml constraints.txt
	@echo "installing qdiag and the development tools into $(VENV); torch is large, the first time takes minutes"
	@$(INSTALL) --no-compile --editable '.[dev]'
	@touch $(VENV)/.installed $@

# The stamps above are newer than this link's target, so an existing environment is kept. A pip that cannot install
# pyproject.toml projects in place (before 21.3, shipped with the first Python 3.10) is replaced.
$(BIN)/python:
	@for python in $(PYTHONS); do \
	    if $$python -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then \
	        echo "creating $(VENV) with $$($$python --version)"; \
	        $$python -m venv $(VENV) \
	            && $(BIN)/python -m pip install --quiet --disable-pip-version-check 'pip>=21.3' && exit 0; \
	        rm -rf $(VENV); \
	        exit 1; \
	    fi; \
	done; \
	echo "error: no Python >= 3.10 with the modules venv and ensurepip was found (tried: $(PYTHONS))" >&2; \
	echo "  hint: install one (Debian and Ubuntu: apt install python3-venv), or name it: make demo PYTHON=/path/to/python3" >&2; \
	exit 2
