#!/usr/bin/env bash
# Runs a command in a sandbox of its own: network, mounts and processes. A test cluster lives in there, so that it meets
# nobody's addresses, rules, mounts or containers, and so that all of it is gone when the command ends, however it ends.
#
#   tests/cluster/sandbox.sh COMMAND...
#
# REVEILLE_SANDBOX_PID names a file for the pid whose namespaces `nsenter --net --mount --target` enters, which is removed at
# the end.
# There is no way out to the network. What the command needs has to be built and fetched before.
set -euo pipefail

# The first process in there.
inside() {
    mount --make-rprivate /
    # What an earlier cluster, or the machine's own container engine, keeps in these would be taken for this one's.
    for folder in /run /var/log /var/lib/cni /var/lib/kubelet; do
        mkdir -p "$folder"
        mount -t tmpfs -o mode=755 tmpfs "$folder"
    done
    # The kubelet sets these for the whole machine, unless they are as it wants them: here it finds them so.
    local setting file number=0
    for setting in vm/overcommit_memory=1 vm/panic_on_oom=0 kernel/panic=10 kernel/panic_on_oops=1 \
        kernel/keys/root_maxkeys=1000000 kernel/keys/root_maxbytes=25000000; do
        number=$((number + 1))
        file=/run/kernel-setting-$number
        echo "${setting#*=}" >"$file"
        mount --bind "$file" "/proc/sys/${setting%=*}"
    done
    mount --make-rshared / # the kubelet's volumes have to reach the containers

    # The first node's address; others are added with their nodes. A veth pair, because not every kernel has the dummy
    # device.
    ip link set lo up
    ip link add nodes type veth peer name nodes-peer
    ip link set nodes up
    ip link set nodes-peer up
    ip address add 10.200.0.1/24 dev nodes
    # The kubelet and the API server want one. Nothing leads out, so nothing goes that way.
    ip route add default dev lo
    sysctl -qw net.ipv4.ip_forward=1

    # bash waits for what is left to it, such as the shims of dead containers.
    local status=0
    "$@" &
    wait $! || status=$?
    exit "$status" # and with the first process all others end
}

# Where each hierarchy of control groups is mounted: one with version 2, several with version 1.
hierarchies() {
    awk '$3 ~ /^cgroup2?$/ { print $2 }' /proc/self/mounts
}

# Puts this shell into a group of its own in each hierarchy. The containers' groups come below it: runtimes take a path
# without a leading slash as relative to their own (version 1), or beside it (version 2, where a group with processes
# can have no groups below).
enter_groups() { # NAME
    local root group
    for root in $(hierarchies); do
        group=$root/$1
        mkdir "$group"
        if [ -e "$root/cpuset.cpus" ]; then # nothing may run in a group that was given no processor
            cat "$root/cpuset.cpus" >"$group/cpuset.cpus"
            cat "$root/cpuset.mems" >"$group/cpuset.mems"
        fi
        if [ -e "$root/cgroup.controllers" ]; then
            group=$group/processes
            mkdir "$group"
        fi
        echo "$BASHPID" >"$group/cgroup.procs"
    done
}

# The kernel takes a moment until the groups of killed processes are empty.
remove_groups() { # NAME
    local root
    for root in $(hierarchies); do
        for _ in {1..50}; do
            [ -d "$root/$1" ] || break
            find "$root/$1" -depth -type d -exec rmdir {} + 2>/dev/null || sleep 0.1
        done
    done
}

if [ "${1-}" = --inside ]; then
    shift
    inside "$@"
fi

# Those of sandboxes that were killed together with their outer shell.
for old in $(hierarchies | sed 's|$|/reveille-test-*|'); do
    [ ! -d "$old" ] || [ -d "/proc/${old##*-}" ] || remove_groups "${old##*/}"
done

group=reveille-test-$$
sandbox=
# unshare ignores the gentler signals. When it dies the kernel kills what is inside.
trap '[ -z "$sandbox" ] || kill -KILL "$sandbox"' INT TERM
(
    enter_groups "$group"
    [ -z "${REVEILLE_SANDBOX_PID-}" ] || echo "$BASHPID" >"$REVEILLE_SANDBOX_PID"
    # The whole sandbox ends with the shell above, also when that is killed.
    exec setpriv --pdeathsig KILL unshare --net --mount --pid --fork --mount-proc --kill-child -- "$0" --inside "$@"
) &
sandbox=$!
status=0
wait "$sandbox" 2>/dev/null || status=$?
wait "$sandbox" 2>/dev/null || true # a signal ended the first wait before the sandbox ended
remove_groups "$group"
if [ -n "${REVEILLE_SANDBOX_PID-}" ]; then
    rm -f "$REVEILLE_SANDBOX_PID"
    echo "the sandbox is gone, with all that ran in it"
fi
exit "$status"
