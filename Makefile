# Thin: what to type, over CMake's presets. Every target says what it does and skips what is done.
.PHONY: install uninstall deb reference demo demo-long test test-fast sanitize build model embedder bench soak check-cache check-index format format-check fuzz clean dependencies

PREFIX ?= /usr/local
FUZZ_SECONDS ?= 60
# Rooms that read foreign bytes or compute. The others format what these found, and their libraries cost most to compile.
SANITIZED_ROOMS ?= base;documents;jinja;tensor;position;kernels;checkpoint;tokenizer;data;grammar;score;model;suites;generate;train;embed;eval;agent;sql;retrieval;server
SOURCES = find src tests bench -name '*.cc' -o -name '*.h'

demo: model  ## a real model reads a long text (MODEL=path adds a model of yours, ADAPTER=directory an adapter)
	python3 tools/demo.py

demo-long: model  ## it reads 64,000 tokens of a novel and is asked what stands at their beginning
	python3 tools/demo.py long

test: model embedder  ## all tests
	cmake --build build
	ctest --test-dir build --output-on-failure --no-tests=error -j 2

test-fast: model embedder  ## the tests that take seconds
	cmake --build build
	ctest --test-dir build --output-on-failure --no-tests=error -j 2 -L fast

sanitize: dependencies  ## the fast tests with AddressSanitizer and UndefinedBehaviorSanitizer
	cmake --preset asan --log-level=WARNING -DLONGSPAN_TEST_ROOMS="$(SANITIZED_ROOMS)"
	cmake --build build-asan --target all_tests
	ctest --test-dir build-asan --output-on-failure --no-tests=error -j 2 -L fast

build: dependencies  ## build/longspan
	cmake --preset release --log-level=WARNING
	cmake --build build --target longspan

install: build reference  ## program, man pages, completions and documents in PREFIX (/usr/local), below DESTDIR
	DESTDIR=$(DESTDIR) PREFIX=$(PREFIX) packaging/install.sh install

uninstall:  ## takes away what install brought
	DESTDIR=$(DESTDIR) PREFIX=$(PREFIX) packaging/install.sh uninstall

deb: build reference  ## build/longspan_VERSION_ARCH.deb
	tools/install_dependencies.sh dpkg-dev file
	cd build && cpack -G DEB

reference: build  ## docs/reference.md, from the program itself
	cmake --build build --target reference
	cmp -s build/reference/reference.md docs/reference.md || cp build/reference/reference.md docs/reference.md

model: build
	build/longspan fetch smollm2

embedder: build
	build/longspan fetch minilm || echo "minilm is absent: the tests that need it are skipped"

bench: model  ## speed of reading and writing, as llama-bench shows it
	build/longspan bench smollm2 -p 512,4096,8192 -n 64 -d 0,4096

soak: test-fast  ## 100 runs each of train and eval killed at random moments, resumed, and compared bit by bit
	LONGSPAN_TRIALS=100 OMP_WAIT_POLICY=passive build/tests/cli_tests --gtest_filter='*.KilledAtAnyMoment*'

check-cache: model  ## documents kept on disk: times at 8K and 32K tokens, 50 kills, damage, another model (half an hour)
	tools/check_reading_store.py

check-index: embedder  ## 50 kills of an index that is being made, and what they leave
	tools/check_index.py

format:  ## clang-format over all sources
	tools/install_dependencies.sh clang-format
	$(SOURCES) | xargs clang-format -i

format-check:  ## fails where `make format` would change something
	tools/install_dependencies.sh clang-format
	$(SOURCES) | xargs clang-format --dry-run --Werror

fuzz:  ## every fuzz target for FUZZ_SECONDS
	tools/install_dependencies.sh clang libomp-dev
	cmake --preset fuzz --log-level=WARNING
	cmake --build build-fuzz --target fuzzers
	set -e; for target in build-fuzz/tests/fuzz/fuzz_*; do \
	  [ -f $$target ] && [ -x $$target ] || continue; \
	  corpus=build-fuzz/corpus/$$(basename $$target); mkdir -p $$corpus; \
	  seeds=tests/fuzz/corpus/$$(basename $$target | sed s/fuzz_//); [ -d $$seeds ] || seeds=; \
	  $$target -max_total_time=$(FUZZ_SECONDS) -max_len=4096 $$corpus $$seeds; \
	done

clean:
	rm -rf build build-debug build-asan build-tsan build-fuzz

dependencies:
	@tools/install_dependencies.sh
