# Each target sets itself up in .venv; a bare machine needs only make and a Python that derlem supports.
SUPPORTED := python3.13 python3.12 python3.11 python3
# The newest that starts: a name may be on the path and still answer nothing.
PYTHON ?= $(shell for name in $(SUPPORTED); do \
  $$name -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && echo $$name && break; done)
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: demo test check fast reproduce clean

demo: .venv/run
	$(BIN)/python examples/serve.py $(BIN)/derlem crawl examples/seeds.txt -o demo/crawl \
	  --config examples/crawl.toml --set 'network.resolve={"kitaplik.example" = "127.0.0.1:{port}"}'
	$(BIN)/derlem build examples/corpus.toml --until tokenize
	$(BIN)/derlem inspect demo/corpus
	$(BIN)/derlem train demo/corpus --output demo/run --preset tiny --set data.tokens=150_000 --check
	$(BIN)/derlem scale examples/study.toml
	$(BIN)/derlem report demo/study --output demo/report.html
	@echo
	@echo "Next, read what it kept:    $(BIN)/derlem show demo/corpus --language tur_Latn --random 3"
	@echo "what it dropped, and why:   $(BIN)/derlem show demo/corpus --dropped gopher"
	@echo "what the model says:        $(BIN)/derlem generate demo/run --prompt Kütüphane"
	@echo "and what one more token is worth, in a browser: demo/report.html"

test: check
	$(BIN)/python -m pytest -n auto --dist loadfile

reproduce: .venv/run
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.reproduce

check: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The quick loop: the checks, and the test files that differ from BASE (a commit; by default the last one).
BASE ?= HEAD
fast: check
	$(BIN)/python -m pytest tests/test_structure.py $$( \
	  { git diff --name-only --diff-filter=d $(BASE); git ls-files --others --exclude-standard; } \
	  | grep -E '^tests/(.*/)?test_[^/]*\.py$$' | grep -v '^tests/test_structure\.py$$')

.venv/run: pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "derlem needs Python 3.11, 3.12 or 3.13, and finds none of: $(SUPPORTED);" \
	  "install one, or name it: make PYTHON=/path/to/python3.13" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(PIP) -e ".[train]"
	@touch $@

.venv/dev: .venv/run
	$(PIP) -e ".[view,dev]"
	@touch $@

clean:
	rm -rf .venv demo build dist *.egg-info
