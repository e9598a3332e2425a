#!/usr/bin/env bash
# Makes sure that tools are there: installs what is missing where that is possible (Debian and its like, as
# root or with sudo that asks nothing), and otherwise says exactly what to install and fails.
#
#   scripts/need.sh cargo cc nginx curl
#
# A tool that ends with `?` is optional: where it cannot be had that is said, and is no failure.
# No service is started or enabled by what is installed here.
set -euo pipefail

cd "$(dirname "$0")/.."
readonly rust_minimum=1.90
readonly tools=target/tools/bin # on the Makefile's PATH, too
PATH=$PATH:$HOME/.cargo/bin:/usr/local/go/bin:/usr/sbin:/sbin:$PWD/$tools
# The configuration, deny.toml, is in the words of this version.
readonly cargo_deny_version='^0.20'
# Python's gRPC, for tests: in an environment of its own, with all that it needs named.
readonly grpcio=target/tools/grpcio
readonly grpcio_packages='grpcio==1.85.1 typing_extensions==4.16.0'

say() { printf '%s\n' "$*" >&2; }

die() {
    say "error: $1"
    shift
    printf '       %s\n' "$@" >&2
    exit 1
}

has() { command -v "$1" >/dev/null 2>&1; }

# Runs a command as root; returns 1 where this user cannot.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif has sudo && sudo -n true 2>/dev/null; then
        sudo -n -- "$@"
    else
        return 1
    fi
}

# Debian asks this file before it starts a service; 101 forbids it. One that was there is put back.
readonly policy=/usr/sbin/policy-rc.d
readonly policy_saved=$policy.saved
readonly policy_mark='# made by scripts/need.sh of Reveille, for as long as it installs something'

forbid_services() {
    if [ -e "$policy" ] && ! grep -qF "$policy_mark" "$policy"; then
        as_root mv "$policy" "$policy_saved" || return 1
    fi
    printf '#!/bin/sh\n%s\nexit 101\n' "$policy_mark" | as_root tee "$policy" >/dev/null && as_root chmod 755 "$policy"
}

allow_services() {
    if [ -e "$policy_saved" ]; then
        as_root mv "$policy_saved" "$policy"
    else
        as_root rm -f "$policy"
    fi
}

# install_packages TOOL PACKAGE...: what a missing tool is in.
install_packages() {
    local tool=$1
    shift
    local by_hand="apt-get update && apt-get install -y --no-install-recommends $*"
    has apt-get || die "$tool is missing" "install it by this system's package manager (on Debian: $by_hand)"
    as_root true || die "$tool is missing, and this user may not install it" "run as root: $by_hand"
    say "installing $* ($tool is missing) ..."
    local output
    if ! output=$(apt_install "$@" 2>&1); then
        say "$output"
        die "$tool could not be installed" "run as root, and see what it says: $by_hand"
    fi
    lists=fresh
    hash -r
}

lists=old
apt_install() (
    trap allow_services EXIT
    forbid_services || exit 1
    # Where one of several sources is out of reach, the others may have it.
    [ "$lists" = fresh ] || as_root apt-get update -qq || true
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=120 install -y -qq --no-install-recommends "$@"
)

need_program() {
    has "$1" || install_packages "$@"
}

need_nginx() {
    has nginx && return
    need_program nginx nginx
    # It is wanted as a program; the next start of the machine should not find it on port 80.
    if [ -d /run/systemd/system ]; then
        as_root systemctl disable --quiet nginx.service || true
    fi
}

need_cargo() {
    local get_curl="" install
    has curl || get_curl="apt-get update && apt-get install -y curl ca-certificates && "
    install="${get_curl}curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y && . \"\$HOME/.cargo/env\""
    has cargo || die "Rust is missing ($rust_minimum or later is needed)" "install it: $install"
    local version
    version=$(cargo --version | awk '{ print $2 }')
    if [ "$(printf '%s\n' "$rust_minimum" "$version" | sort -V | head -n 1)" != "$rust_minimum" ]; then
        if has rustup; then
            die "Rust $version is too old ($rust_minimum or later is needed)" "update it: rustup update stable && rustup default stable"
        fi
        die "Rust $version is too old ($rust_minimum or later is needed)" "install a later one beside it: $install"
    fi
}

# need_component COMMAND COMPONENT: a part of Rust that a minimal installation lacks.
need_component() {
    cargo "$1" --version >/dev/null 2>&1 && return
    has rustup || die "cargo $1 is missing" "install the package of this system that has it, or Rust by https://rustup.rs"
    say "adding $2 to Rust ..."
    rustup component add "$2" >&2 || die "cargo $1 could not be installed" "see what this says: rustup component add $2"
}

need_cargo_deny() {
    has cargo-deny && return
    say "installing cargo-deny (some minutes, once) ..."
    cargo install --locked --quiet cargo-deny --version "$cargo_deny_version" >&2 \
        || die "cargo-deny could not be installed" "see what this says: cargo install --locked cargo-deny --version '$cargo_deny_version'"
}

# promtool and prometheus come out of Prometheus's package alone: installing that would set up a server.
need_prometheus() { # TOOL
    has "$1" && return
    local by_hand="apt-get install -y --no-install-recommends prometheus"
    if ! has apt-get || ! has dpkg-deb; then
        die "$1 is missing" "it is part of Prometheus: https://prometheus.io/download"
    fi
    say "fetching Prometheus ..."
    fetch_prometheus >/dev/null 2>&1 || die "$1 could not be fetched" "run as root: $by_hand"
}

fetch_prometheus() (
    set -e
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
    mkdir -p "$tools"
    cd "$folder"
    apt-get download -qq prometheus || { as_root apt-get update -qq && apt-get download -qq prometheus; } || exit 1
    dpkg-deb --fsys-tarfile prometheus_*.deb | tar -x ./usr/bin/promtool ./usr/bin/prometheus || exit 1
    cp usr/bin/promtool usr/bin/prometheus "$OLDPWD/$tools/"
)

need_grpcio() {
    "$grpcio/bin/python" -c 'import grpc' 2>/dev/null && return
    need_program python3 python3 python3-venv
    python3 -c 'import ensurepip, venv' 2>/dev/null || install_packages "python3's venv" python3-venv
    say "making an environment with Python's grpcio ..."
    local output
    rm -rf "$grpcio"
    # shellcheck disable=SC2086 # these are words
    if ! output=$(python3 -m venv "$grpcio" \
        && "$grpcio/bin/python" -m pip install --quiet --disable-pip-version-check --only-binary :all: --no-deps $grpcio_packages 2>&1); then
        rm -rf "$grpcio" # half of it would be taken for all of it
        say "$output"
        die "grpcio could not be installed" "see what this says: python3 -m venv DIR && DIR/bin/pip install $grpcio_packages"
    fi
}

readonly schemathesis=target/tools/schemathesis
readonly schemathesis_pins=tests/local/python/schemathesis.txt

need_schemathesis() {
    local pins output
    pins=$(cat "$schemathesis_pins")
    [ "$(cat "$schemathesis/complete" 2>/dev/null)" != "$pins" ] || return 0
    need_program python3 python3 python3-venv
    python3 -c 'import ensurepip, venv' 2>/dev/null || install_packages "python3's venv" python3-venv
    say "making an environment with schemathesis ..."
    rm -rf "$schemathesis"
    mkdir -p "${schemathesis%/*}"
    if ! output=$(python3 -m venv "$schemathesis" \
        && "$schemathesis/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps -r "$schemathesis_pins" 2>&1); then
        say "$output"
        die "schemathesis could not be installed" "see what this says: python3 -m venv DIR && DIR/bin/pip install -r $schemathesis_pins"
    fi
    printf '%s\n' "$pins" >"$schemathesis/complete"
}

# The dashboard's tests: Debian's browser, and what drives it and looks for what is in people's way.
readonly browser=target/tools/browser

need_browser() {
    local pins output
    need_program chromium chromium
    need_program node nodejs
    pins=$(cat tests/browser/package-lock.json)
    [ "$(cat "$browser/complete" 2>/dev/null)" != "$pins" ] || return 0
    need_program npm npm
    say "fetching what drives the browser ..."
    rm -rf "$browser"
    mkdir -p "$browser"
    cp tests/browser/package.json tests/browser/package-lock.json "$browser"
    if ! output=$(cd "$browser" && npm ci --ignore-scripts --no-audit --no-fund 2>&1); then
        say "$output"
        die "what drives the browser could not be fetched" "see what this says: cd $browser && npm ci"
    fi
    printf '%s\n' "$pins" >"$browser/complete"
}

# Triton without its container: NVIDIA's wheel has the server and its Python backend, which needs no GPU. The models
# and the clients get a Python of their own each; about 440 MB in all.
readonly triton=target/tools/triton
readonly triton_pins=tests/triton/requirements
# What the pinned numpy has wheels for: with numpy 2 this Triton answers with empty tensors.
readonly triton_python='import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))'

need_triton() {
    local pins
    pins=$(cat "$triton_pins"-*.txt)
    [ "$(cat "$triton/complete" 2>/dev/null)" != "$pins" ] || return 0
    rm -rf "$triton"
    mkdir -p "$triton"
    say "installing Triton and its clients (half a minute, once) ..."
    if ! install_triton 2>&1 | tee "$triton/output" >&2; then
        # For the tests to say.
        sed -n 's/^error: //p' "$triton/output" | tail -n 1 >"$triton/missing"
        die "Triton could not be installed" "see above; what needs it cannot run"
    fi
    printf '%s\n' "$pins" >"$triton/complete"
}

install_triton() (
    [ "$(uname -m)" = x86_64 ] || die "Triton's wheel is for x86_64, this machine is $(uname -m)" "there is no other on PyPI"
    python=$(find_python) || exit 1
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    # On Debian both are packages of their own.
    "$python" -c 'import ensurepip' 2>/dev/null || install_packages ensurepip "python$version-venv"
    triton_libdir "$python" >/dev/null || install_packages "libpython$version.so" "libpython$version"
    triton_libdir "$python" >"$triton/libdir" || die "$python comes without its shared library" "use one that was configured with --enable-shared"
    make_venv "$python" server
    make_venv "$python" client
    # The backend takes the stub that lies beside it, whatever Python that is for.
    bundle=$(echo "$triton"/server/lib/python3.*/site-packages/pytriton/tritonserver)
    cp "$bundle/python_backend_stubs/$version/triton_python_backend_stub" "$bundle/backends/python/" \
        || die "Triton's wheel has no stub for Python $version" "see $bundle/python_backend_stubs"
)

find_python() {
    local name
    has python3 || install_packages python3 python3 >&2
    for name in python3 python3.12 python3.11 python3.10; do
        if has "$name" && "$name" -c "$triton_python" 2>/dev/null; then
            command -v "$name"
            return
        fi
    done
    die "Triton's models need Python 3.10, 3.11 or 3.12, this machine has $(python3 --version 2>&1)" \
        "put one of them beside it: it is looked for as python3.12, python3.11 and python3.10"
}

# Where this Python's shared library is; the stub is linked against that.
triton_libdir() {
    "$1" -c 'import os, sys, sysconfig
folder, name = (sysconfig.get_config_var(key) for key in ("LIBDIR", "INSTSONAME"))
print(folder)
sys.exit(not (name.startswith("libpython") and os.path.exists(os.path.join(folder, name))))'
}

make_venv() { # PYTHON NAME
    "$1" -m venv "$triton/$2" >&2 || die "no Python environment could be made for the $2" "see what this says: $1 -m venv $triton/$2"
    # The pins are complete: nothing has to be resolved.
    "$triton/$2/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps -r "$triton_pins-$2.txt" >&2 \
        || die "pip could not install $triton_pins-$2.txt" "is https://pypi.org in reach? PIP_INDEX_URL names a mirror"
}

# What builds the test cluster's programs. A Go since 1.21 fetches the version that they need by itself.
need_go() {
    has go || die "Go is missing (1.26 or later is needed)" "install it: https://go.dev/dl"
    local output
    output=$(cd tests/cluster/bin/kubernetes && GOTOOLCHAIN=auto GOFLAGS=-mod=readonly go env GOVERSION 2>&1) \
        || die "no Go 1.26 or later: $output" "install it: https://go.dev/dl"
}

# Debian puts these into no PATH.
need_cni() {
    [ -x /usr/lib/cni/ptp ] || install_packages "/usr/lib/cni/ptp" containernetworking-plugins
}

# A Kubernetes for tests/cluster: its programs are built once, for all checkouts of a machine.
need_cluster() {
    [ "$(id -u)" -eq 0 ] || die "a test cluster needs root, for namespaces, mounts and control groups" "run make as root"
    need_cluster_tools
    tests/cluster/sandbox.sh true || die "no sandbox can be made here; what it says is above" \
        "run it on a machine of its own, or in a privileged container"
    [ -d "$(scripts/cluster-bin.sh --path)" ] || need_go
    scripts/cluster-bin.sh
}

need_cluster_tools() {
    need_program unshare util-linux
    need_program ip iproute2
    need_program iptables iptables
    need_program sysctl procps
    need_program openssl openssl
    need_program runc runc
    need_cni
}

need() {
    case $1 in
        cargo) need_cargo ;;
        cc) need_program cc build-essential ;;
        make) need_program make make ;;
        curl) need_program curl curl ca-certificates ;;
        nginx) need_nginx ;;
        clippy) need_component clippy clippy ;;
        rustfmt) need_component fmt rustfmt ;;
        cargo-deny) need_cargo_deny ;;
        promtool | prometheus) need_prometheus "$1" ;;
        h2load) need_program h2load nghttp2-client ;;
        haproxy) need_program haproxy haproxy ;;
        wrk) need_program wrk wrk ;;
        grpcio) need_grpcio ;;
        schemathesis) need_schemathesis ;;
        browser) need_browser ;;
        triton) need_triton ;;
        go) need_go ;;
        cluster) need_cluster ;;
        cluster-tools) need_cluster_tools ;;
        shellcheck) need_program shellcheck shellcheck ;;
        zsh | fish) need_program "$1" "$1" ;;
        *) die "scripts/need.sh does not know $1" ;;
    esac
}

for tool in "$@"; do
    case $tool in
        *\?) (need "${tool%\?}") || say "note: going on without ${tool%\?}" ;;
        *) need "$tool" ;;
    esac
done
