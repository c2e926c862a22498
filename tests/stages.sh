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

# Those whose code runs only with a store behind it.
STORE_SCRIPTS="tests/interop/azure_azurite.py tests/interop/azure_exports.py tests/interop/azure_scripted.py
  tests/interop/gcs_stores.py tests/interop/s3_scripted.py tests/interop/s3_stores.py
  tests/interop/store_network.py"

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

# run_scripts PROGRAMS SCRIPT...: two at a time.
run_scripts() {
    local programs=$1; shift
    mkdir -p "$OUT/log"
    export OUT VENV
    export -f run_script say
    printf '%s\0' "$@" | xargs -0 -P 2 -I{} bash -c 'run_script "$1" "$2"' _ {} "$programs"
}

stage_unit() {
    configure debug -Dfaults=true
    run_suites debug unit contract
}

stage_sanitize() {
    CC=clang CXX=clang++ configure asan -Dfaults=true -Db_sanitize=address,undefined -Db_lundef=false
    ASAN_OPTIONS=detect_leaks=1:abort_on_error=1 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 \
        run_suites asan unit contract
    say "the programs themselves under the sanitizers"
    ASAN_OPTIONS=detect_leaks=1:abort_on_error=1 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 \
        "$VENV/bin/python" tests/system/export_test.py "$OUT/asan/src/cmd"
    # Drivers of object stores against strict servers that play faults; in the long run, what lies between, too.
    local t
    for t in azure_scripted s3_scripted gcs_stores ${ALL:+store_network}; do
        ASAN_OPTIONS=detect_leaks=1:abort_on_error=1 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 \
            "$VENV/bin/python" tests/interop/$t.py "$OUT/asan/src/cmd"
    done
    # Those of gRPC that do not measure memory.
    ASAN_OPTIONS=detect_leaks=1:abort_on_error=1 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 \
        "$VENV/bin/python" tests/system/grpc_test.py "$OUT/asan/src/cmd" test_a_stop_tells_open_streams \
        test_broken_bytes_at_the_port test_broken_messages test_a_deadline_leaves_nothing_half_done
}

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
    configure debug -Dfaults=true
    ninja -C "$OUT/debug" --quiet tests/interop/pq_cases tests/contract/backend_tool tests/contract/backend_contract_test
    run_scripts "$OUT/bin" tests/interop/*.py
    [ -z "${ALL:-}" ] || { setup_spark; setup_ceph; setup_systemd; run_scripts "$OUT/bin" tests/slow/*.py; }
}

stage_fuzz() {
    CC=clang CXX=clang++ configure fuzz -Dfuzz=true -Db_sanitize=address,undefined -Db_lundef=false
    ninja -C "$OUT/fuzz" --quiet
    local t seconds=${FUZZ_SECONDS:-6} seed=1
    [ -z "${ALL:-}" ] || seed=$RANDOM
    for t in "$OUT"/fuzz/tests/fuzz/*_fuzz; do
        local name=${t##*/} corpus
        corpus=$(mktemp -d)
        say "$name for $seconds s"
        # The same inputs each time; the long run (--all) takes others.
        "$t" -max_total_time="$seconds" -rss_limit_mb=2048 -verbosity=0 -seed="$seed" \
            "$corpus" "tests/fuzz/corpus/${name%_fuzz}" || die "$name found a fault"
        rm -rf "$corpus"
    done
}

# Counts what unit, contract and system tests run; the programs write their counts when they end.
stage_coverage() {
    configure coverage -Dfaults=true -Db_coverage=true
    run_suites coverage unit contract
    # The suite over all real directories runs the code that inspect and sidecar run, at length.
    run_scripts "$OUT/coverage/src/cmd" $(ls tests/system/*.py | grep -v weaviate_test) tests/interop/golden_replay.py \
        tests/interop/lake_readers.py tests/interop/option_readers.py \
        $STORE_SCRIPTS
    gcovr --root . --filter src/ --print-summary --fail-under-line 90 "$OUT/coverage" >"$OUT/coverage.txt"
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
