# make run    napari with a sample pair, the widget docked and the comparison done (without a display: its picture)
# make test   everything that is checked, on a machine as it comes
# make fuzz   20,000 random pairs in random chunks against the same in memory; CASES=100 is another number
# make lowest the tests with the oldest dependencies that pyproject.toml allows
# make bench  the figures of the README on speed
# make bench-detection  those on what is found, and of docs/detection.md
# make bench-large  those of docs/large-images.md: 0.1, 1 and 10 gigapixels, and a cluster of two workers
# make docs   the site of the documentation, in site/; warnings are errors, and so are links that lead nowhere
# make pictures  the pictures in it, taken of the real window
# make clean  remove what the others made

SHELL := bash
BIN := .venv/bin
# the tests open real windows: on Linux in a screen of their own, not on yours
SCREEN := $(if $(filter Linux,$(shell uname -s)),xvfb-run --auto-servernum --server-args="-screen 0 1600x1200x24")

.PHONY: run test fuzz lowest bench bench-detection bench-large docs pictures clean

run:
	tools/bootstrap.sh
	$(BIN)/python tools/run_demo.py

test:
	tools/bootstrap.sh --headless --browser
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/npe2 validate napari.yaml
	$(BIN)/npe2 validate --imports napari-image-diff
	$(SCREEN) $(BIN)/python -m pytest --numprocesses 2 --dist loadgroup $(ARGS)

fuzz: CASES := 20000
fuzz:
	tools/bootstrap.sh --headless
	$(BIN)/python tests/fuzz.py --cases $(CASES) --large $(ARGS)

lowest:
	tools/bootstrap.sh --headless --browser
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv venv --quiet --clear --seed --python $(BIN)/python .venv-lowest
	$(BIN)/uv pip install --quiet --python .venv-lowest --resolution lowest-direct \
	    --editable . "pyqt6>=6.9" --group test
	NUMBA_CACHE_DIR=.venv-lowest/numba $(SCREEN) .venv-lowest/bin/python -m pytest $(ARGS)

bench:
	tools/bootstrap.sh --headless
	$(BIN)/python -m pip install --quiet --group bench
	$(BIN)/python benchmarks/engine.py $(ARGS)
	$(BIN)/python benchmarks/files.py
	$(SCREEN) $(BIN)/python benchmarks/gui.py

bench-detection:
	tools/bootstrap.sh --headless
	$(BIN)/python -m pip install --quiet --group bench
	$(BIN)/python benchmarks/detection.py $(ARGS)

bench-large:
	tools/bootstrap.sh --headless
	$(BIN)/python benchmarks/gigapixel.py $(ARGS)
	$(BIN)/python benchmarks/cluster.py

docs:
	tools/bootstrap.sh
	$(BIN)/python -m sphinx -W --keep-going -q -b html -d build/doctrees docs site
	@echo "open site/index.html"

pictures:
	tools/bootstrap.sh --headless
	$(SCREEN) $(BIN)/python tools/make_pictures.py $(ARGS)

clean:
	rm -rf .venv .venv-lowest .venv-validate build dist site screenshots .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +
