# Sourced by ./dev: the stages of `./dev test`. Each prints its time; the first red stage ends the run.
#
#   0 style      format, layers, banned words, lengths, generated docs
#   1 unit       gcc debug with fault points: unit, contract
#   2 sanitize   clang ASan + UBSan + LSan: the same tests
#   3 threads    clang TSan: the tests that start threads
#   4 release    the programs as shipped: command line, exports, kill, limits
#   5 interop    readers of Parquet, recorded calls of the official client
#   6 fuzz       each fuzz target for some seconds
#   7 coverage   lines run by the tests
# `./dev test quick` runs 0-1, `./dev test 3` one stage, `./dev test --all` everything and the slow parts.

stage_name=(style unit sanitize threads release interop fuzz coverage)

stage_style() {
    tools/check_layers
    tools/check_style
    git ls-files '*.c' '*.h' '*.cc' | grep -v '\.tbl\.h$' | xargs clang-format --dry-run -Werror
}

# run_suites FOLDER SUITE...: builds and runs meson suites, two at a time.
run_suites() {
    local folder=$1; shift
    ninja -C "$OUT/$folder" --quiet
    local args=() s
    for s in "$@"; do args+=(--suite "$s"); done
    meson test -C "$OUT/$folder" --no-rebuild --print-errorlogs --num-processes 2 "${args[@]}"
}

# run_script SCRIPT PROGRAMS: one test program in Python; its output is kept, and shown when it fails.
run_script() {
    local log=$OUT/log/${1//\//-}.txt begun=$SECONDS
    if "$VENV/bin/python" "$1" "$2" ${ALL:+--all} >"$log" 2>&1; then
        say "$1 passed in $((SECONDS - begun)) s: $(tail -n 1 "$log")"
    else
        cat "$log"
        say "$1 failed"
        return 255 # ends xargs
    fi
}

# run_scripts PROGRAMS SCRIPT...: three at a time, since each waits for servers now and then.
run_scripts() {
    local programs=$1; shift
    mkdir -p "$OUT/log"
    export OUT VENV
    export -f run_script say
    printf '%s\0' "$@" | xargs -0 -P 3 -I{} bash -c 'run_script "$1" "$2"' _ {} "$programs"
}

# Counts lines for stage 7, too.
stage_unit() {
    configure debug -Dfaults=true -Db_coverage=true
    find "$OUT/debug" -name '*.gcda' -delete
    run_suites debug unit contract
    is_counted=yes
}

stage_sanitize() (
    export ASAN_OPTIONS=detect_leaks=1:abort_on_error=1 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
    CC=clang CXX=clang++ configure asan -Dfaults=true -Db_sanitize=address,undefined -Db_lundef=false
    run_suites asan unit contract
    say "the programs themselves under the sanitizers"
    # Drivers of object stores against strict servers that play faults; in the long run, what lies between, too.
    run_scripts "$OUT/asan/src/cmd" tests/system/export_test.py tests/interop/azure_scripted.py \
        tests/interop/s3_scripted.py tests/interop/gcs_stores.py ${ALL:+tests/interop/store_network.py}
    # Those of gRPC that do not measure memory.
    "$VENV/bin/python" tests/system/grpc_test.py "$OUT/asan/src/cmd" test_a_stop_tells_open_streams \
        test_broken_bytes_at_the_port test_broken_messages test_a_deadline_leaves_nothing_half_done
)

# RocksDB is not built for TSan, so its own tests stay out; everything that starts threads is in.
stage_threads() {
    CC=clang CXX=clang++ configure tsan -Dfaults=true -Db_sanitize=thread -Db_lundef=false
    ninja -C "$OUT/tsan" --quiet
    TSAN_OPTIONS=halt_on_error=1 meson test -C "$OUT/tsan" --no-rebuild --print-errorlogs --num-processes 2 \
        base_runtime base_stats config_options config_overrides api_jwks api_server http_exchange database_object database_reference backend kv source export_scheduler export_verify
}


stage_release() {
    build
    [ "$(nm "$OUT/bin/sluiced" "$OUT/bin/sluice" | grep -c sl_fault)" = 0 ] || die "fault points in a release binary"
    tools/gen_docs "$OUT/bin" --check
    run_scripts "$OUT/bin" tests/system/*.py
    say "the benchmarks run"
    "$VENV/bin/python" bench/run "$OUT" smoke >"$OUT/bench-smoke.jsonl"
}

stage_interop() {
    build
    configure debug -Dfaults=true -Db_coverage=true
    ninja -C "$OUT/debug" --quiet tests/interop/pq_cases tests/contract/backend_tool tests/contract/backend_contract_test
    run_scripts "$OUT/bin" tests/interop/*.py
    [ -z "${ALL:-}" ] || { setup_spark; setup_ceph; setup_systemd; run_scripts "$OUT/bin" tests/slow/*.py; }
}

# fuzz_target PROGRAM: for FUZZ_SECONDS, from the inputs that FUZZ_SEED gives.
fuzz_target() {
    local name=${1##*/} corpus
    corpus=$(mktemp -d)
    say "$name for $FUZZ_SECONDS s"
    if ! "$1" -max_total_time="$FUZZ_SECONDS" -rss_limit_mb=2048 -verbosity=0 -seed="$FUZZ_SEED" \
        "$corpus" "tests/fuzz/corpus/${name%_fuzz}"; then
        say "$name found a fault"
        return 255 # ends xargs
    fi
    rm -rf "$corpus"
}

# Two at a time.
stage_fuzz() {
    CC=clang CXX=clang++ configure fuzz -Dfuzz=true -Db_sanitize=address,undefined -Db_lundef=false
    ninja -C "$OUT/fuzz" --quiet
    # The same inputs each time; the long run (--all) takes others.
    export FUZZ_SEED=1 FUZZ_SECONDS=${FUZZ_SECONDS:-6}
    [ -z "${ALL:-}" ] || FUZZ_SEED=$RANDOM
    export -f fuzz_target say
    printf '%s\0' "$OUT"/fuzz/tests/fuzz/*_fuzz | xargs -0 -P 2 -I{} bash -c 'fuzz_target "$1"' _ {}
}

# What unit and contract tests ran, and what programs run that only scripts reach: they write their counts when they
# end. The other scripts run the same code at length.
stage_coverage() {
    [ -n "${is_counted:-}" ] || stage_unit
    local t scripts=()
    for t in auth cli damage export grpc import metrics offload oidc verify; do scripts+=("tests/system/${t}_test.py"); done
    for t in azure_scripted gcs_stores golden_replay lake_readers s3_scripted; do scripts+=("tests/interop/$t.py"); done
    run_scripts "$OUT/debug/src/cmd" "${scripts[@]}"
    gcovr --root . --filter src/ --print-summary --fail-under-line 90 "$OUT/debug" >"$OUT/coverage.txt"
    tail -n 4 "$OUT/coverage.txt"
}

run_stage() {
    local number=$1 begun=$SECONDS
    say "stage $number: ${stage_name[$number]}"
    "stage_${stage_name[$number]}"
    say "stage $number: ${stage_name[$number]} passed in $((SECONDS - begun)) s"
}

run_tests() {
    local stages=(0 1 2 3 4 5 6 7) begun=$SECONDS s
    case ${1:-} in
    --list) sed -n '3,10s/^# \{0,3\}//p' tests/stages.sh; return ;;
    quick) stages=(0 1) ;;
    --all) export ALL=1 FUZZ_SECONDS=${FUZZ_SECONDS:-600} ;;
    [0-7]) stages=("$@") ;;
    "") ;;
    *) die "test: \"$1\" is neither quick, --all nor a stage from 0 to 7" ;;
    esac
    for s in "${stages[@]}"; do run_stage "$s"; done
    say "all tests passed in $((SECONDS - begun)) s"
}
