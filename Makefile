# A thin front over CMake and CTest. `make run` and `make test` are all that a fresh machine needs.
BUILD  ?= build
PORT   ?= 8080
JOBS   ?= $(shell nproc 2>/dev/null || echo 2)
CMAKE_FLAGS ?=
VENV   := .venv
PYTHON := $(VENV)/bin/python3

.PHONY: all configure build build-tests run test test-sanitize lint format bench fuzz goldens lab-tiny lab-smoke install setup setup-test setup-lab clean

all: build

# Installs what is missing (Debian and Ubuntu: by itself, as root or with sudo; elsewhere: names the packages).
setup:
	@tools/setup build

configure: setup
	@cmake -S . -B $(BUILD) -DCMAKE_BUILD_TYPE=Release $(CMAKE_FLAGS) > $(BUILD).log 2>&1 || { cat $(BUILD).log; exit 1; }

build: configure
	@cmake --build $(BUILD) -j $(JOBS) --target weft

build-tests: configure
	@cmake --build $(BUILD) -j $(JOBS)

run: build
	@$(BUILD)/weft serve --port $(PORT)

setup-test: setup
	@tools/setup test
	@tools/python-env $(VENV) tests/python/requirements.txt
	@tools/node-env web
	@tools/node-env tests/web

# Everything that .ci/run checks: units, layers, parity with the reference, the server with the official clients, the page.
test: build-tests setup-test
	@tools/run-tests $(BUILD) $(PYTHON)

# The C tests under AddressSanitizer and UndefinedBehaviorSanitizer.
test-sanitize: setup
	@cmake -S . -B $(BUILD)-sanitize -DWEFT_SANITIZE=ON $(CMAKE_FLAGS) > $(BUILD)-sanitize.log 2>&1 || { cat $(BUILD)-sanitize.log; exit 1; }
	@cmake --build $(BUILD)-sanitize -j $(JOBS)
	@ctest --test-dir $(BUILD)-sanitize --output-on-failure

lint: setup-test
	@tools/lint

format:
	@clang-format -i $$(git ls-files 'src/*.c' 'src/*.h' 'include/*.h' 'tests/*.c' 'tests/*.h')

bench: configure
	@cmake --build $(BUILD) -j $(JOBS) --target bench_kernels weft-random-model
	@$(BUILD)/bench_kernels

fuzz:
	@tools/fuzz

setup-lab: setup
	@tools/setup lab
	@tools/python-env .venv-lab lab/requirements.txt

goldens: setup-lab
	@.venv-lab/bin/python3 lab/goldens.py && .venv-lab/bin/python3 lab/unit_goldens.py

LAB_STEPS ?= 14200
lab-tiny: setup-lab
	@tools/setup lab-tiny
	@.venv-lab/bin/pip install -q -r lab/tiny/requirements.txt && .venv-lab/bin/python3 -m lab.tiny.toolkit --out .lab/pages --sheets 24 || echo "no Qt: without toolkit-drawn screens"
	@.venv-lab/bin/python3 -m lab.tiny.browser --out .lab/pages --sheets 70 && .venv-lab/bin/python3 -m lab.tiny.browser --out .lab/pages --sheets 24 --kinds shapes --size 160x160,192x160,192x192 || echo "no Chromium: without browser-drawn screens"
	@.venv-lab/bin/python3 -m lab.tiny.run --until $(LAB_STEPS)
	@.venv-lab/bin/python3 -m lab.tiny.run --branch 4000 --export models/tiny/instruct
	@.venv-lab/bin/python3 -m lab.tiny.run --plan thinking --export models/tiny/thinking

lab-smoke: setup-lab
	@.venv-lab/bin/python3 -m lab.tiny.run --plan smoke

install: build
	@cmake --install $(BUILD)

clean:
	@rm -rf $(BUILD) $(BUILD)-sanitize $(BUILD).log $(BUILD)-sanitize.log
