# ticklake: one Makefile. `make help` lists what it does.
#
# A configuration is a build folder: release in build/, the others in build/asan, build/tsan and build/fuzz.
#   make CC=clang        another compiler
#   make O=/tmp/mine     another build folder
#   make unit TEST=store only tests/unit/store*_test.c
#   make unit ONLY="base event io store"   only these folders of src/ (and the tests that link with them)

VERSION := 0.1.0
PREFIX  ?= /usr/local
CONFIG  ?= release
O       ?= build
CACHE   := $(or $(TICKLAKE_CACHE),$(HOME)/.cache/ticklake)
FUZZ_SECONDS ?= 20
CLANG   ?= clang

MAKEFLAGS += --no-builtin-rules --no-print-directory
ifeq ($(MAKELEVEL),0)
MAKEFLAGS += --jobs=$(shell nproc)
endif
SHELL := /bin/sh
.SUFFIXES:
.DELETE_ON_ERROR:
.DEFAULT_GOAL := all

# ---- Configurations ----

B := $(if $(filter release,$(CONFIG)),$O,$O/$(CONFIG))
SANITIZE_asan := -fsanitize=address,undefined -fno-sanitize-recover=all
SANITIZE_tsan := -fsanitize=thread
SANITIZE_fuzz := -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
SANITIZE      := $(SANITIZE_$(CONFIG))
ifeq ($(CONFIG),fuzz)
CC := $(CLANG)
else ifeq ($(origin CC),default)
CC := gcc
endif

# ---- Libraries: by pkg-config; yyjson from the distribution if new enough, else from the cache ----

LIBRARIES := libwebsockets libcurl libpq rdkafka libzstd zlib openssl sqlite3 yaml-0.1 libxxhash
MISSING   := $(shell for l in $(LIBRARIES); do pkg-config --exists $$l 2>/dev/null || echo $$l; done)
PKG_FLAGS := $(patsubst -I%,-isystem %,$(shell pkg-config --cflags $(LIBRARIES) 2>/dev/null))
PKG_LIBS  := $(shell pkg-config --libs $(LIBRARIES) 2>/dev/null)

ifeq ($(shell pkg-config --exists 'yyjson >= 0.10' 2>/dev/null && echo yes),yes)
PKG_LIBS += $(shell pkg-config --libs yyjson)
else
YYJSON := $(CACHE)/yyjson-4.0.6
PKG_FLAGS += -isystem $(YYJSON)
MISSING += $(if $(wildcard $(YYJSON)/yyjson.c),,yyjson)
endif
# ---- What the console draws with: in the cache, embedded in the binary; names and versions as scripts/setup has them ----

CHARTS := $(CACHE)/charts-uplot-1.6.32-lightweight-charts-5.2.1
MISSING += $(if $(wildcard $(CHARTS)/done),,charts)
MISSING := $(strip $(MISSING))

# ---- Flags ----

comma := ,

WARNINGS := -Wall -Wextra -Werror -Wshadow -Wconversion -Wno-sign-conversion -Wstrict-prototypes \
    -Wmissing-prototypes -Wformat=2 -Wvla -Wundef -Wpointer-arith -Wcast-align -Wwrite-strings \
    $(if $(findstring clang,$(CC)),-Wno-string-conversion)
HARDENING := -fstack-protector-strong -fPIE $(if $(SANITIZE),,-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
OPTIMIZE  := $(if $(SANITIZE),-O1 -fno-omit-frame-pointer,-O2)
INCLUDES  := -Isrc -I$O $(PKG_FLAGS)
LANGUAGE  := -std=c17 -D_GNU_SOURCE
BASE_CFLAGS := $(LANGUAGE) $(OPTIMIZE) -g -pthread $(HARDENING) $(SANITIZE)
ALL_CFLAGS  := $(BASE_CFLAGS) $(WARNINGS) $(INCLUDES) $(CFLAGS)
ALL_LDFLAGS := -pthread -pie -Wl,--as-needed -Wl,-z,relro,-z,now $(SANITIZE) $(LDFLAGS)
LDLIBS      := $(PKG_LIBS) -lm

# ---- Files ----

ONLY    ?= *
SOURCES := $(sort $(filter-out src/main.c,$(foreach d,$(ONLY),$(wildcard src/$d/*.c src/$d/*/*.c))))
HEADERS := $(sort $(wildcard src/*/*.h src/*/*/*.h))
CONSOLE := $(sort $(wildcard console/*.html console/*.css console/*.json console/*.svg console/js/*.js console/js/*/*.js))
CONSOLE_SERVED := $(filter-out console/openapi.json,$(CONSOLE)) console/openapi.json=/api/v1/openapi.json \
    $(foreach f,uPlot.js uPlot.css lightweight-charts.js licences.txt,$(CHARTS)/$f=/lib/$f)
SQL     := $(sort $(wildcard sql/*.sql sql/*/*.sql sql/*/*/*.sql))
TEST    ?= *
UNIT    := $(sort $(wildcard tests/unit/$(TEST)_test.c $(if $(filter *,$(TEST)),,tests/unit/$(TEST)*_test.c)))
SLOW    := $(sort $(wildcard $(patsubst %,tests/%/$(TEST)_test.c,golden fault sim)))
HELPERS := $(sort $(filter-out %_test.c,$(wildcard tests/unit/*.c)))
FUZZERS := $(sort $(wildcard tests/fuzz/*_fuzz.c))
BENCHES := $(sort $(wildcard bench/*.c))
OURS    := $(sort $(SOURCES) $(wildcard src/main.c) $(HEADERS) $(wildcard tests/*/*.[ch] bench/*.[ch]))

object   = $(patsubst %.c,$B/obj/%.o,$1)
program  = $(patsubst %.c,$B/%,$1)
OBJECTS := $(call object,$(SOURCES)) $B/obj/gen/sql_embed.o $(if $(filter * serve command,$(ONLY)),$B/obj/gen/console_embed.o) $(if $(YYJSON),$B/obj/yyjson.o)
LIBRARY := $B/libticklake.a
UNIT_PROGRAMS  := $(call program,$(UNIT))
SLOW_PROGRAMS  := $(call program,$(SLOW))
FUZZ_PROGRAMS  := $(call program,$(FUZZERS))
BENCH_PROGRAMS := $(call program,$(BENCHES))
TOOL_PROGRAMS  := $(call program,$(sort $(wildcard tests/tools/*.c)))

.PHONY: all lib help setup demo demo-stack unit slow check static format check-format \
    check-layers check-source check-headers sanitize tsan fuzz fuzz-corpus fuzz-programs test test-faults bench \
    bench-programs tools install clean need-libraries need-cmocka FORCE

all: $B/ticklake ## build/ticklake, the one binary
lib: $(LIBRARY) ## build/libticklake.a, everything but main.c

# ---- Building ----

$B/ticklake: $B/obj/src/main.o $(LIBRARY)
	@echo "link  $@"
	@$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LDLIBS)

$(LIBRARY): $(OBJECTS) $B/objects.txt
	@echo "pack  $@"
	@rm -f $@ && ar rcs $@ $(OBJECTS)

$B/obj/%.o: %.c $B/flags.txt | need-libraries $O/gen/sql.h $O/gen/console.h $O/gen/version.h
	@echo "cc    $<"
	@mkdir -p $(@D) && $(CC) $(ALL_CFLAGS) $(if $(filter tests/%,$<),-Itests/unit) -MMD -MP -c -o $@ $<

$B/obj/gen/sql_embed.o: $O/gen/sql_embed.c $O/gen/sql.h $B/flags.txt
	@mkdir -p $(@D) && $(CC) $(ALL_CFLAGS) -c -o $@ $<

$B/obj/gen/console_embed.o: $O/gen/console_embed.c $O/gen/console.h $B/flags.txt
	@mkdir -p $(@D) && $(CC) $(ALL_CFLAGS) -c -o $@ $<

$B/obj/yyjson.o: $(YYJSON)/yyjson.c $B/flags.txt | need-libraries
	@echo "cc    yyjson.c"
	@mkdir -p $(@D) && $(CC) $(subst $(comma)undefined,,$(BASE_CFLAGS)) -w -c -o $@ $<

$O/gen/sql_embed.c: $(SQL) scripts/embed-sql $O/sql.txt
	@mkdir -p $(@D) && scripts/embed-sql c $(SQL) >$@
$O/gen/sql.h: $(SQL) scripts/embed-sql $O/sql.txt
	@mkdir -p $(@D) && scripts/embed-sql header $(SQL) >$@

$O/gen/console_embed.c: $(CONSOLE) scripts/embed-files $O/console.txt | need-libraries
	@mkdir -p $(@D) && scripts/embed-files c $(CONSOLE_SERVED) >$@
$O/gen/console.h: scripts/embed-files
	@mkdir -p $(@D) && scripts/embed-files header >$@

# Written anew only when the content changes, so that a new commit rebuilds only what shows the version.
define write_if_changed
@mkdir -p $(@D); printf '%s\n' $1 >$@.$$$$; cmp -s $@.$$$$ $@ && rm $@.$$$$ || mv $@.$$$$ $@
endef
$O/gen/version.h: FORCE
	$(call write_if_changed,'#define TICKLAKE_VERSION "$(VERSION)"' \
	    "#define TICKLAKE_BUILD \"$$(GIT_OPTIONAL_LOCKS=0 git describe --always --dirty 2>/dev/null || echo unknown)\"")
$B/flags.txt: FORCE
	$(call write_if_changed,'$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) $(LDLIBS)')
$B/objects.txt: FORCE
	$(call write_if_changed,'$(OBJECTS)')
$O/sql.txt: FORCE
	$(call write_if_changed,'$(SQL)')

$O/console.txt: FORCE
	$(call write_if_changed,'$(CONSOLE_SERVED)')

need-libraries:
	@test -z "$(MISSING)" || { echo "missing: $(MISSING); run make setup" >&2; exit 1; }
need-cmocka: need-libraries
	@pkg-config --exists cmocka || { echo "missing: cmocka; run scripts/setup dev" >&2; exit 1; }

# Programs that link with the library: tests, fuzz targets, benches.
$B/tests/%_test: $B/obj/tests/%_test.o $(call object,$(HELPERS)) $(LIBRARY) | need-cmocka
	@mkdir -p $(@D) && $(CC) $(ALL_LDFLAGS) -o $@ $^ $(LDLIBS) -lcmocka
$B/tests/%_fuzz: $B/obj/tests/%_fuzz.o $(LIBRARY)
	@mkdir -p $(@D) && $(CC) $(ALL_LDFLAGS) -fsanitize=fuzzer -o $@ $^ $(LDLIBS)
$B/bench/%: $B/obj/bench/%.o $(LIBRARY)
	@mkdir -p $(@D) && $(CC) $(ALL_LDFLAGS) -o $@ $^ $(LDLIBS)
$B/tests/tools/%: $B/obj/tests/tools/%.o $(LIBRARY)
	@mkdir -p $(@D) && $(CC) $(ALL_LDFLAGS) -o $@ $^ $(LDLIBS)
.PRECIOUS: $B/obj/%.o

# ---- Checks: `make check` stays under a minute ----

unit: $(UNIT_PROGRAMS) ## unit tests: tests/unit/*_test.c
	@scripts/run-tests $B/results/unit $(UNIT_PROGRAMS)
slow: $(SLOW_PROGRAMS) ## the longer C tests: tests/{golden,fault,sim}/*_test.c
	@TEST_SECONDS=900 scripts/run-tests $B/results/slow $(SLOW_PROGRAMS)

check: static $(UNIT_PROGRAMS) ## format, layers, headers, banned functions, sizes, unit tests
	@scripts/run-tests $B/results/unit $(UNIT_PROGRAMS)

static: check-format check-layers check-source check-headers
check-layers:
	@scripts/check-layers
check-source:
	@scripts/check-source $(OURS)
check-format:
	@scripts/format --check $(OURS)
format: ## lay out all C files
	@scripts/format $(OURS)

# Every header compiles alone, and twice.
check-headers: $(patsubst src/%.h,$B/headers/%.ok,$(HEADERS))
$B/headers/%.ok: src/%.h $B/flags.txt | need-libraries $O/gen/sql.h $O/gen/console.h $O/gen/version.h
	@mkdir -p $(@D)
	@printf '#include "$*.h"\n#include "$*.h"\n' | \
	    $(CC) $(ALL_CFLAGS) -MMD -MP -MF $(@:.ok=.d) -MT $@ -fsyntax-only -x c - || \
	    { echo "$<: does not compile alone" >&2; exit 1; }
	@touch $@

# ---- Sanitizers and fuzzing ----

sanitize: ## unit tests under address and undefined behaviour sanitizers
	@ASAN_OPTIONS=detect_leaks=1:strict_string_checks=1:exitcode=70 \
	    UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1:exitcode=70 $(MAKE) CONFIG=asan unit
tsan: ## unit tests under the thread sanitizer
	@TSAN_OPTIONS=halt_on_error=1:exitcode=70 \
	    TEST_WRAP="$$(setarch -R true 2>/dev/null && echo setarch -R)" $(MAKE) CONFIG=tsan unit

fuzz-programs: $(FUZZ_PROGRAMS)
fuzz: ## fuzz each tests/fuzz/*_fuzz.c for FUZZ_SECONDS (20)
	@$(MAKE) CONFIG=fuzz fuzz-programs
	@scripts/run-fuzz $O/fuzz $(FUZZ_SECONDS) $(FUZZERS)
fuzz-corpus: ## only the inputs kept in tests/fuzz/corpus/NAME/
	@$(MAKE) CONFIG=fuzz fuzz-programs
	@scripts/run-fuzz $O/fuzz corpus $(FUZZERS)

# ---- Everything ----

setup: ## install what is missing to build and run (scripts/setup dev|test|bench for the rest)
	@scripts/setup build
demo: ## build, then show exchange to lake on this machine
	@scripts/setup build
	@$(MAKE) all
	@if [ -x scripts/demo ]; then scripts/demo; else echo "no scripts/demo yet"; fi
demo-stack: ## the same over PostgreSQL, Kafka, a registry and S3, with Spark and Airflow, on this machine
	@scripts/setup build
	@scripts/setup stack
	@$(MAKE) all
	@scripts/demo-stack
test: ## install what is missing, then every test
	@O='$O' MAKE='$(MAKE)' scripts/test
test-faults: all ## the longer list of faults on a real stack, some 30 minutes
	@O='$O' scripts/test-faults
bench: ## the table of bench/RESULTS.md
	@scripts/setup bench
	@$(MAKE) all bench-programs
	@if [ -x bench/run ]; then eval "$$(scripts/setup env)" && bench/run; else echo "no bench/run yet"; fi
bench-programs: $(BENCH_PROGRAMS)
tools: $(TOOL_PROGRAMS) ## what the Python tests drive: tests/tools/*.c

install: all ## PREFIX=/usr/local DESTDIR=
	@install -D -m 755 $B/ticklake $(DESTDIR)$(PREFIX)/bin/ticklake
	@install -D -m 644 LICENSE $(DESTDIR)$(PREFIX)/share/doc/ticklake/LICENSE
	@echo "installed $(DESTDIR)$(PREFIX)/bin/ticklake"

clean: ## remove the build folder
	@rm -rf $O

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' Makefile

-include $(wildcard $B/obj/*/*.d $B/obj/*/*/*.d $B/obj/*/*/*/*.d $B/headers/*.d $B/headers/*/*.d)
