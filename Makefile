# Thin front of CMake and tools/. `make help` lists the targets.

BUILD        ?= build
JOBS         ?= 2
PREFIX       ?= /usr/local
HOST         ?= 127.0.0.1
PORT         ?= 5000
FUZZ_SECONDS ?= 60

MAKEFLAGS += --no-print-directory
export JOBS FUZZ_SECONDS
export CMAKE_BUILD_PARALLEL_LEVEL = $(JOBS)

.PHONY: build demo test install bench fuzz asan tsan clean deps help configure

build: configure
	cmake --build $(BUILD)

help:
	@echo 'make [build]            library, examples, tests and benchmarks into $(BUILD)/'
	@echo 'make demo               build and serve the chat demo (HOST=, PORT=)'
	@echo 'make test               build and run every check and test'
	@echo 'make install PREFIX=DIR headers, libcarafe.so, libcarafe.a, carafe.pc, CMake package'
	@echo 'make bench              build and run the benchmarks'
	@echo 'make fuzz               fuzz each target for FUZZ_SECONDS (60)'
	@echo 'make asan | make tsan   unit, wire and corpus tests under sanitizers'
	@echo 'make deps               install what a Debian machine lacks for all of the above'
	@echo 'make clean              remove the build directories'

configure:
	@command -v cmake >/dev/null || { echo 'cmake is missing: run make deps'; exit 1; }
	cmake -S . -B $(BUILD)

deps:
	tools/install_deps test

demo:
	tools/install_deps demo
	cmake -S . -B $(BUILD)
	cmake --build $(BUILD) --target example_chat
	tools/npm_ci examples/chat
	@echo
	@echo "Chat demo: http://$(HOST):$(PORT)   (Ctrl-C ends it)"
	@cd examples/chat && exec "$(abspath $(BUILD))/examples/chat" --host "$(HOST)" --port "$(PORT)"

test:
	tools/run_tests $(BUILD)

# Only the library is built, so that installing needs none of the test tools.
install: configure
	cmake --build $(BUILD) --target carafe carafe_archive
	cmake --install $(BUILD) --prefix "$(PREFIX)"
	@case "$(DESTDIR)$(PREFIX)" in /usr|/usr/local) ldconfig 2>/dev/null || true;; esac

bench: configure
	cmake --build $(BUILD) --target bench examples
	@if [ -x bench/run ]; then bench/run $(BUILD); else ls $(BUILD)/bench; fi

fuzz:
	tools/run_fuzz $(BUILD)-fuzz

asan:
	tools/run_ctest $(BUILD)-asan -DCARAFE_SANITIZE=address,undefined

tsan:
	tools/run_ctest $(BUILD)-tsan -DCARAFE_SANITIZE=thread

clean:
	rm -rf $(BUILD) $(BUILD)-asan $(BUILD)-tsan $(BUILD)-fuzz $(BUILD)-clang
