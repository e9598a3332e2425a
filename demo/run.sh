#!/usr/bin/env bash
# `make demo`: a real nginx that is not running answers its first request, falls asleep, and is woken again.
#
# Each line is printed after it was checked: the exit code is 0 only if all of it truly happened. Needs nginx and
# curl; runs in a folder of its own under $TMPDIR, as root or as any user, and leaves nothing behind.
#   KEEP=1              leave Reveille running afterwards, and say what to try
#   REVEILLE_BIN=FILE   show this binary instead of building a release
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
PATH=$PATH:$HOME/.cargo/bin:/usr/sbin:/sbin
readonly burst=50
readonly patience=10 # seconds until something that has not happened is a failure

folder=$(mktemp -d "${TMPDIR:-/tmp}/reveille-demo.XXXXXX")
log=$folder/reveille.log
reveille=
pid=

if [ -t 1 ] && [ -z "${NO_COLOR-}" ]; then
    bold=$'\e[1m' dim=$'\e[2m' green=$'\e[32m' red=$'\e[31m' plain=$'\e[0m'
else
    bold='' dim='' green='' red='' plain=''
fi

# --- What is printed

milliseconds() { echo $((${EPOCHREALTIME/[^0-9]/} / 1000)); }

line() { # WHAT TEXT [WHEN, if not now]
    local at=$((${3:-$(milliseconds)} - began))
    printf '%s%4d.%03d s%s  %s%-12s%s %s\n' "$dim" $((at / 1000)) $((at % 1000)) "$plain" "$bold" "$1" "$plain" "$2"
}

fail() {
    printf '\n%sThe demo failed:%s %s\n' "$red" "$plain" "$1" >&2
    if [ -s "$log" ]; then
        printf -- '--- the end of Reveille'\''s log ---\n' >&2
        tail -n 30 "$log" >&2
    fi
    exit 1
}

# --- Ending

alive() { [ -n "$1" ] && kill -0 "$1" 2>/dev/null; }

# Whether this process is an nginx that runs: a number may have gone to another program meanwhile.
nginx_runs() { [ "$(cat "/proc/${1:-none}/comm" 2>/dev/null)" = nginx ]; }

stop_reveille() {
    alive "$reveille" || return 0
    kill -TERM "$reveille"
    local status=0
    wait "$reveille" || status=$?
    reveille=
    return "$status"
}

clean_up() {
    trap '' INT TERM HUP
    stop_reveille || true
    rm -rf "$folder"
}
trap clean_up EXIT
trap 'echo; exit 130' INT
trap 'exit 143' TERM HUP

# --- Asking

port_answers() { (: <"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

free_port() { # FIRST
    local port=$1
    while port_answers "$port"; do port=$((port + 1)); done
    echo "$port"
}

ask() { curl --noproxy '*' --silent --show-error --max-time "$patience" "$@"; }

status() { "$bin" --server "http://127.0.0.1:$admin" --output json status web; }

# The first field of this name in the app's status.
field() { sed -n "s/^ *\"$1\": *\"\{0,1\}\([^\",]*\)\"\{0,1\},\{0,1\}\$/\1/p" <<<"$state" | head -n 1; }

# Milliseconds from the wake's request to this step.
step() {
    tr -d ' \n' <<<"$state" | grep -o '{[^{}]*"step":"'"$1"'"[^{}]*}' | sed 's/.*"afterMs":\([0-9]*\).*/\1/'
}

metric() { # NAME LABEL=VALUE
    ask "http://127.0.0.1:$admin/metrics" \
        | awk -v name="$1" -v label="${2-}" 'index($0, name "{") == 1 && index($0, label) { sum += $NF } END { print sum + 0 }'
}

await_phase() { # PHASE
    local end=$(($(milliseconds) + patience * 1000))
    while state=$(status) && [ "$(field phase)" != "$1" ]; do
        [ "$(milliseconds)" -lt "$end" ] || fail "the app is $(field phase), not $1, after $patience s"
        sleep 0.02
    done
    [ "$(field phase)" = "$1" ] || fail "reveille status did not answer"
}

# GET / once with these arguments more, which must return nginx's page; sets asked (when), took (ms) and timing.
get() {
    local answer code
    asked=$(milliseconds)
    answer=$(ask --dump-header "$folder/head" --output "$folder/body" --write-out '%{http_code} %{time_total}' "$@" "$url") \
        || fail "no answer from $url"
    code=${answer% *}
    took=$(awk -v s="${answer#* }" 'BEGIN { printf "%.1f", s * 1000 }')
    timing=$(sed -n 's/\r$//; s/^[Ss]erver-[Tt]iming: //p' "$folder/head")
    [ "$code" = 200 ] || fail "GET $url was answered with $code: $(head -c 500 "$folder/body")"
    cmp -s "$folder/body" "$here/site/index.html" || fail "GET $url did not return the page of nginx"
}

# --- The parts of the story

build() {
    bin=${REVEILLE_BIN-}
    [ -z "$bin" ] || return 0
    cd "$here/.."
    local target=${CARGO_TARGET_DIR:-target}
    [ -x "$target/release/reveille" ] || echo "building a release (some minutes, once) ..."
    cargo build --quiet --release --locked -p reveille-cli || fail "cargo build --release -p reveille-cli failed; see above"
    bin=$(realpath "$target/release/reveille")
}

start() {
    local listen
    listen=$(free_port 18080)
    upstream=$(free_port $((listen + 1)))
    admin=$(free_port 19090)
    url=http://127.0.0.1:$listen/
    # nginx's workers are other users where root starts it.
    chmod 755 "$folder"
    cp -r "$here/site" "$folder/site"
    sed "s/:18081/:$upstream/; s/:18080/:$listen/; s/:19090/:$admin/" "$here/reveille.yaml" >"$folder/reveille.yaml"
    sed "s/:18081/:$upstream/" "$here/web.conf" >"$folder/web.conf"
    # A process group of its own: Ctrl-C comes to this script alone, which ends Reveille in order.
    set -m
    "$bin" local -c "$folder/reveille.yaml" --log-format pretty --drain 5s >"$log" 2>&1 </dev/null &
    reveille=$!
    set +m
    local end=$(($(milliseconds) + patience * 1000))
    until ask --fail --output /dev/null "http://127.0.0.1:$admin/readyz" 2>/dev/null; do
        alive "$reveille" || fail "Reveille ended instead of starting"
        [ "$(milliseconds)" -lt "$end" ] || fail "Reveille was not ready after $patience s"
        sleep 0.02
    done
    began=$(milliseconds)
}

asleep_at_first() {
    await_phase Asleep
    [ "$(field replicas)" = 0 ] || fail "the app has $(field replicas) replicas before anybody called"
    [ ! -e "$folder/nginx.pid" ] || fail "an nginx runs before anybody called"
    line asleep "Reveille listens where nginx should ($url); no nginx runs"
}

first_request() {
    local wake woken
    get
    state=$(status)
    [ "$(field phase)" = Awake ] || fail "after the answer the app is $(field phase), not Awake"
    [ "$(metric reveille_hold_duration_seconds_count 'app="web"')" = 1 ] || fail "the request was not held"
    [[ $timing == *wake\;dur=*hold\;dur=* ]] || fail "the answer to a held request has no Server-Timing: '$timing'"
    pid=$(cat "$folder/nginx.pid" 2>/dev/null) || fail "nginx wrote no nginx.pid"
    nginx_runs "$pid" || fail "process $pid, which nginx.pid names, is no nginx"
    wake=$(tr -d ' \n' <<<"$state" | sed -n 's/.*"wake":{[^}]*"id":"\([^"]*\)".*/\1/p')
    woken=$(date -d "$(field started)" +%s%3N)
    line held "curl $url: 1 request is held, wake $wake begins" "$woken"
    line started "nginx starts, pid $pid" $((woken + $(step Probing)))
    line ready "it can answer, $(step Ready) ms after the request came" $((woken + $(step Ready)))
    line "200 OK" "${green}curl has its answer in $took ms${plain}; Server-Timing: $timing" $((woken + ${took%.*}))
    first_took=$took
}

warm_request() {
    get
    [ -z "$timing" ] || fail "a request to an app that is awake was held: $timing"
    line "200 OK" "${green}the next one takes $took ms${plain}, not held"
}

over_http2() {
    curl --version | grep -qw HTTP2 || return 0
    get --http2-prior-knowledge
    grep -q '^HTTP/2 200' "$folder/head" || fail "the answer came over $(head -n 1 "$folder/head"), not over HTTP/2"
    line "200 OK" "${green}the same port takes HTTP/2${plain}: curl --http2-prior-knowledge, $took ms"
}

falls_asleep() {
    local after
    line idle "nobody calls; idle.ttl is 2s"
    await_phase Asleep
    after=$(($(milliseconds) - asked))
    [ "$after" -ge 2000 ] || fail "it fell asleep after $after ms, before its TTL"
    ! nginx_runs "$pid" || fail "the app is Asleep, but nginx (pid $pid) still runs"
    ! port_answers "$upstream" || fail "the app is Asleep, but something answers on nginx's port $upstream"
    line asleep "nginx (pid $pid) is gone, $after ms after the last request"
}

woken_by_many() {
    local held wakes codes slowest old=$pid
    held=$(metric reveille_hold_duration_seconds_count 'app="web"')
    wakes=$(metric reveille_wakes_total 'outcome="ready"')
    line "$burst at once" "curl --parallel $url"
    ask --parallel --parallel-immediate --parallel-max "$burst" --output /dev/null \
        --write-out '%{http_code} %{time_total}\n' "$url?[1-$burst]" >"$folder/burst" 2>"$folder/burst.err" \
        || fail "the burst: $(head -n 3 "$folder/burst.err")"
    codes=$(cut -d ' ' -f 1 "$folder/burst" | sort | uniq -c | awk '{ printf "%s%d x %s", (NR > 1 ? ", " : ""), $1, $2 }')
    [ "$codes" = "$burst x 200" ] || fail "the burst was answered with $codes"
    slowest=$(awk '{ if ($2 > most) most = $2 } END { printf "%.1f", most * 1000 }' "$folder/burst")
    held=$(($(metric reveille_hold_duration_seconds_count 'app="web"') - held))
    wakes=$(($(metric reveille_wakes_total 'outcome="ready"') - wakes))
    [ "$held" -ge 1 ] || fail "none of the burst was held"
    [ "$wakes" -eq 1 ] || fail "the burst caused $wakes wakes instead of 1"
    pid=$(cat "$folder/nginx.pid")
    nginx_runs "$pid" || fail "no nginx runs after the burst"
    [ "$pid" != "$old" ] || fail "nginx has the pid it had before it fell asleep"
    line "woken again" "1 wake for all, $held of them held; nginx is pid $pid now"
    line "$burst x 200" "${green}the slowest took $slowest ms${plain}, nginx's start included"
}

stops() {
    local status=0
    stop_reveille || status=$?
    [ "$status" -eq 0 ] || fail "Reveille ended with $status"
    pid=$(cat "$folder/nginx.pid" 2>/dev/null || echo "$pid")
    ! nginx_runs "$pid" || fail "nginx (pid $pid) outlived Reveille"
    line stopped "Reveille ended; no nginx is left"
}

keep_running() {
    cat <<TEXT

Reveille still runs. Its dashboard: http://127.0.0.1:$admin/ui/
In another terminal, try:
  curl -i $url
  export REVEILLE_SERVER=http://127.0.0.1:$admin
  $bin status web
  $bin sleep web
  $bin wake web --wait
  curl -s 127.0.0.1:$admin/metrics | grep '^reveille_wakes'
Its file: $folder/reveille.yaml (a change applies at once)
Its log:  $log
Ctrl-C stops it.
TEXT
    trap 'echo; stops; exit 0' INT
    local status=0
    wait "$reveille" || status=$?
    reveille=
    fail "Reveille ended by itself, with $status"
}

build
start
asleep_at_first
first_request
warm_request
over_http2
falls_asleep
woken_by_many
if [ -n "${KEEP-}" ] && [ "$KEEP" != 0 ]; then
    keep_running
else
    stops
    printf '\n%sEach line was checked.%s The first answer took %s ms, nginx'\''s start included.\n' "$bold" "$plain" "$first_took"
    printf 'make demo KEEP=1 leaves it running and says what to try.\n'
fi
