# The two commands of the README, and the checks that go with them. A second run starts at once: the stamp files
# in .venv say what is installed, and what they depend on says when to install again.

NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for name in python3.11 python3 python3.12 python3.13; do \
  $$name -c '$(NEW_ENOUGH)' 2>/dev/null && { echo $$name; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
BUILT_FROM := pyproject.toml setup.py MANIFEST.in $(shell find csrc -type f 2>/dev/null)
PACKAGE := $(shell find avloc configs -type f -not -name '*.pyc' -not -name '*.so' 2>/dev/null)

.DELETE_ON_ERROR:
.PHONY: demo test sanitize lint format clean study study-full

demo: $(VENV)/installed
	@$(BIN)/avloc localize demo/talking_head.mp4 --format json --output $(VENV)/demo.json
	@$(BIN)/python tools/show_demo.py $(VENV)/demo.json demo/truth.json

test: $(VENV)/editable
	$(BIN)/python -m pytest -n 2

# 'make study MEDIA=folder': corpus, features, three networks and a table from genuine recordings of talking faces.
# WORK keeps every stage, so that the same command goes on where it was stopped.
study study-full: $(VENV)/installed
	@test -n '$(MEDIA)' || { echo "name a folder of genuine recordings: make $@ MEDIA=folder" >&2; exit 1; }
	@$(BIN)/python tools/study.py --media '$(MEDIA)' --work '$(or $(WORK),work/$@)' $(if $(filter study-full,$@),--full)

# The tests of the operations with kernels that check every address, shift and overflow: those of the CPU, and
# those of CUDA on emulated threads.
SANITIZERS := -fsanitize=address,undefined -fno-sanitize-recover=undefined
sanitize: export CXXFLAGS := $(SANITIZERS)
sanitize: export LDFLAGS := $(SANITIZERS)
sanitize: $(VENV)/editable
	$(BIN)/python setup.py --quiet build --build-base $(VENV)/sanitized/build --build-lib $(VENV)/sanitized/lib
	PYTHONPATH=$(VENV)/sanitized/lib ASAN_OPTIONS=detect_leaks=0 \
	  LD_PRELOAD="$$(c++ -print-file-name=libasan.so) $$(c++ -print-file-name=libstdc++.so)" \
	  $(BIN)/python -m pytest tests/ops

lint: $(VENV)/editable
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(VENV)/editable
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) build dist *.egg-info

$(VENV)/created:
	@test -n '$(PYTHON)' && $(PYTHON) -c '$(NEW_ENOUGH)' || \
	  { echo "avloc needs Python 3.11 or newer; name one with 'make PYTHON=/path/to/python3.11'" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

# An editable install, once made, serves the demo too; otherwise it is a plain 'pip install .'.
$(VENV)/installed: $(VENV)/created $(BUILT_FROM) $(PACKAGE)
	@test ! -e $(VENV)/editable || $(MAKE) --no-print-directory $(VENV)/editable
	@test -e $(VENV)/editable || { echo "installing avloc with its dependencies: some minutes the first time"; \
	  $(PIP) install --quiet .; }
	@touch $@

$(VENV)/editable: $(VENV)/created $(BUILT_FROM)
	@echo "installing avloc with its dependencies and what the tests need: some minutes the first time"
	@$(PIP) install --quiet -e '.[test]'
	@touch $@
