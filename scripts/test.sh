#!/usr/bin/env bash
# Runs tests and says at the end what ran, what was skipped and why; fails if anything failed.
#
#   scripts/test.sh [unit | core | loom | model | local | cluster | browser]...
#                                             all of it: unit local cluster model loom browser, with one build
#
# What the tests print is shown as it comes and kept in target/test-logs/. A test that cannot run here
# prints a line `SKIPPED: name: reason`, or appends `skipped: name: reason` to $REVEILLE_TEST_REPORT; it is
# then counted as skipped and not as passed. Lines `figure: name: text` of that report are repeated, too.
set -euo pipefail

cd "$(dirname "$0")/.."
PATH=$PATH:/usr/sbin:/sbin:$PWD/target/tools/bin # Debian's nginx, and what need.sh fetched
readonly logs=target/test-logs
mkdir -p "$logs"
REVEILLE_TEST_REPORT=$PWD/$logs/report
export REVEILLE_TEST_REPORT
: >"$REVEILLE_TEST_REPORT"

# Most of the end-to-end tests wait for time to pass: on few cores more of them can run side by side.
if [ -z "${RUST_TEST_THREADS-}" ] && [ "$(nproc)" -lt 4 ]; then
    export RUST_TEST_THREADS=4
fi

readonly titles='core=the decisions
unit=units and properties of every crate
loom=the gate, every interleaving
model=the protocol of sleep and wake, every order of events
local=end to end, real servers and clients
cluster=end to end, in a real Kubernetes
browser=the dashboard, in a real browser'

declare -A passed failed skipped millis
tiers=()
reasons=()
failures=()
tier=

# Counts from now on for this tier.
enter() {
    tier=$1
    [ -n "${passed[$tier]-}" ] || tiers+=("$tier")
    : "${passed[$tier]:=0}" "${failed[$tier]:=0}" "${skipped[$tier]:=0}" "${millis[$tier]:=0}"
}

skip() { # REASON
    skipped[$tier]=$((skipped[$tier] + 1))
    reasons+=("$1")
}

# Shows what cargo and the tests print, and counts. One build's tests belong to several tiers: cargo says whose turn
# it is.
count() { # TIER
    local line whole part
    enter "$1"
    while IFS= read -r line || [ -n "$line" ]; do
        printf '%s\n' "$line"
        if [[ $line =~ ^\ +Running\ .*/deps/(local|reveille_tests_local|slow_server|echo_server)-[0-9a-f]+ ]]; then
            enter local
        elif [[ $line =~ ^\ +Running\ .*/deps/(cluster|reveille_tests_cluster|reveille_test_cluster)-[0-9a-f]+ ]]; then
            enter cluster
        elif [[ $line =~ ^\ +Running\ .*/deps/(model|reveille_tests_model)-[0-9a-f]+ ]]; then
            enter model
        elif [[ $line =~ ^\ +(Running|Doc-tests)\  ]]; then
            enter "$1"
        elif [[ $line =~ ^test\ result:\ .*\ ([0-9]+)\ passed\;\ ([0-9]+)\ failed\; ]]; then
            passed[$tier]=$((passed[$tier] + BASH_REMATCH[1]))
            failed[$tier]=$((failed[$tier] + BASH_REMATCH[2]))
            if [[ $line =~ finished\ in\ ([0-9]+)\.([0-9]{2})s ]]; then
                whole=${BASH_REMATCH[1]} part=${BASH_REMATCH[2]}
                millis[$tier]=$((millis[$tier] + whole * 1000 + 10#$part * 10))
            fi
        elif [[ $line =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed$ ]]; then # tests with a main of their own
            passed[$tier]=$((passed[$tier] + BASH_REMATCH[1]))
            failed[$tier]=$((failed[$tier] + BASH_REMATCH[2]))
        elif [[ $line =~ ^test\ (.*)\ \.\.\.\ ignored(,\ (.*))?$ ]]; then
            skip "${BASH_REMATCH[1]}: ${BASH_REMATCH[3]:-ignored, without a reason}"
        elif [[ $line =~ ^test\ (.*)\ \.\.\.\ FAILED$ ]]; then
            failures+=("$tier: ${BASH_REMATCH[1]}")
        elif [[ $line =~ ^SKIPPED:\ (.*)$ ]]; then
            skip "${BASH_REMATCH[1]}"
            passed[$tier]=$((passed[$tier] - 1)) # the runner takes it for a passed one
        fi
    done
}

# Runs cargo with its tests counted for the tier. A build that breaks, or a test program that dies, is a failure
# although no test says so.
run() { # TIER ENVIRONMENT... COMMAND...
    local name=$1 log=$logs/$1.log status=0 before
    shift
    before=$(sum failed)
    : >"$log" # it is followed from its beginning on, which may be before cargo's
    set -m # a process group of its own, to be ended as one
    env "$@" >"$log" 2>&1 </dev/null &
    cargo=$!
    set +m
    # Followed in a file instead of a pipe: a process that a failed test left behind would keep a pipe open.
    count "$name" < <(tail -n +1 -s 0.1 -f --pid="$cargo" "$log")
    wait "$cargo" || status=$?
    cargo=
    if [ "$status" -ne 0 ] && [ "$(sum failed)" -eq "$before" ]; then
        failed[$name]=$((failed[$name] + 1))
        failures+=("$name: cargo ended with $status; see $log")
    fi
}

cargo=
trap '[ -z "$cargo" ] || kill -TERM -- "-$cargo"; exit 130' INT TERM

# The browser and what drives it are optional, as on a machine without Debian's packages.
browser() {
    local tools=target/tools/browser
    if ! command -v chromium >/dev/null || ! command -v node >/dev/null || [ ! -e "$tools/complete" ]; then
        enter browser
        skip 'browser: there is no chromium, or nothing that drives it; scripts/need.sh browser says what is missing'
        return
    fi
    run browser cargo build --quiet --locked -p reveille-cli -p reveille-tests-local --bins
    run browser REVEILLE_BROWSER_TOOLS="$PWD/$tools" timeout --kill-after=5 300 node tests/browser/run.mjs
}

sum() { # NAME OF AN ARRAY
    local -n values=$1
    local total=0 value
    for value in "${values[@]}"; do total=$((total + value)); done
    echo "$total"
}

# What the end-to-end tests reported.
read_report() {
    local line
    grep -q '^skipped: ' "$REVEILLE_TEST_REPORT" || return 0
    enter local
    while IFS= read -r line; do
        skip "$line"
        passed[local]=$((passed[local] - 1))
    done < <(sed -n 's/^skipped: //p' "$REVEILLE_TEST_REPORT")
}

summary() {
    local name title
    printf '\n%-8s %7s %7s %8s %9s\n' TIER PASSED FAILED SKIPPED SECONDS
    for name in "${tiers[@]}"; do
        title=$(sed -n "s/^$name=//p" <<<"$titles")
        printf '%-8s %7d %7d %8d %5d.%03d  %s\n' "$name" "${passed[$name]}" "${failed[$name]}" "${skipped[$name]}" \
            $((millis[$name] / 1000)) $((millis[$name] % 1000)) "$title"
    done
    if grep -q '^figure: ' "$REVEILLE_TEST_REPORT"; then
        printf '\nfigures:\n'
        sed -n 's/^figure: /  /p' "$REVEILLE_TEST_REPORT"
    fi
    if [ "${#reasons[@]}" -gt 0 ]; then
        printf '\nskipped, so not proven here:\n'
        printf '  %s\n' "${reasons[@]}"
    fi
    if [ "${#failures[@]}" -gt 0 ]; then
        printf '\nfailed:\n'
        printf '  %s\n' "${failures[@]}"
    fi
    printf '\n%d s in all, builds included; logs: %s/\n' "$SECONDS" "$logs"
    printf '%d passed, %d failed, %d skipped\n' "$(sum passed)" "$(sum failed)" "$(sum skipped)"
}

[ "$#" -gt 0 ] || set -- all
for wanted in "$@"; do
    case $wanted in
        all) run unit cargo test --workspace --locked --no-fail-fast ;;
        unit) run unit cargo test --workspace --locked --no-fail-fast \
            --exclude reveille-tests-local --exclude reveille-tests-cluster --exclude reveille-tests-model ;;
        core) run core cargo test -p reveille-core --locked --no-fail-fast ;;
        model) run model cargo test -p reveille-tests-model --locked --no-fail-fast ;;
        local) run local cargo test -p reveille-tests-local --locked --no-fail-fast ;;
        cluster) run cluster cargo test -p reveille-tests-cluster --locked --no-fail-fast ;;
        browser) browser ;;
        loom) ;;
        *)
            echo "error: unknown tier $wanted; there are: unit core loom model local cluster browser" >&2
            exit 2
            ;;
    esac
    case $wanted in
        all | loom)
            run loom RUSTFLAGS="${RUSTFLAGS-} --cfg loom" CARGO_TARGET_DIR=target/loom \
                cargo test -p reveille-core --test gate_loom --release --locked
            ;;
    esac
    [ "$wanted" != all ] || browser
done
read_report
summary
[ "$(sum failed)" -eq 0 ]
