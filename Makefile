# The two commands: `make study` and `make test`; and `make ablations`. All make .venv and install what they need.
PYTHON ?= python3
VENV ?= .venv
CORES ?= $(shell nproc)
# More arguments, e.g. make study ARGS="--config study=mini mirror=/data/mirror", make test ARGS="-k hce"
ARGS ?=
# Where pip finds PyTorch, e.g. the address of the CPU builds that pytorch.org shows; empty: pip's default
TORCH_INDEX ?=

INSTALLED := $(VENV)/.installed
BIN := $(abspath $(VENV))/bin

.PHONY: study ablations test clean

study: $(INSTALLED)
	PATH=$(BIN):$$PATH $(BIN)/snakemake all --cores $(CORES) $(ARGS)
	@PATH=$(BIN):$$PATH $(BIN)/snakemake closing --cores 1 --quiet all $(ARGS)

ablations: $(INSTALLED)
	PATH=$(BIN):$$PATH $(BIN)/snakemake ablations --cores $(CORES) $(ARGS)

test: $(INSTALLED)
	PATH=$(BIN):$$PATH OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadgroup --no-loadscope-reorder $(ARGS)

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed; set PYTHON=")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -c constraints.txt $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) torch==2.13.0
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) results/*/ work logs .snakemake
