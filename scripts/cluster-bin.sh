#!/usr/bin/env bash
# Builds the Kubernetes of tests/cluster from source: once for each set of versions, four to ten minutes on two cores.
#
#   scripts/cluster-bin.sh           build what is not there yet
#   scripts/cluster-bin.sh --path    print the folder they belong into, and build nothing
#
# They are kept beside no checkout, so that every clone on a machine finds them:
# ${XDG_CACHE_HOME:-~/.cache}/reveille/cluster-bin/VERSIONS, where VERSIONS is a hash of the go.mod and go.sum files.
# REVEILLE_CLUSTER_BIN replaces all of that path but the last part. A folder has its final name only when it is whole.
set -euo pipefail

cd "$(dirname "$0")/.."
PATH=$PATH:/usr/local/go/bin # where Go's own archive is unpacked to
readonly sources=tests/cluster/bin
# Part of the hash: raise it when the flags below change.
readonly recipe=1
# module=tool, in the order they are built in.
readonly tools='
kubernetes=go.etcd.io/etcd/server/v3=etcd
kubernetes=k8s.io/kubernetes/cmd/kube-apiserver
kubernetes=k8s.io/kubernetes/cmd/kube-controller-manager
kubernetes=k8s.io/kubernetes/cmd/kube-scheduler
kubernetes=k8s.io/kubernetes/cmd/kubelet
kubernetes=k8s.io/kubernetes/cmd/kube-proxy
kubernetes=k8s.io/kubernetes/cmd/kubectl
containerd=github.com/containerd/containerd/v2/cmd/containerd
containerd=github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2
containerd=github.com/containerd/containerd/v2/cmd/ctr
helm=helm.sh/helm/v3/cmd/helm'

die() {
    printf 'error: %s\n' "$@" >&2
    exit 1
}

versions=$({
    echo "$recipe $(uname -m)"
    cat "$sources"/{kubernetes,containerd,helm}/go.{mod,sum}
} | sha256sum | cut -c1-16)
readonly folder=${REVEILLE_CLUSTER_BIN:-${XDG_CACHE_HOME:-$HOME/.cache}/reveille/cluster-bin}/$versions

case ${1-} in
    --path)
        echo "$folder"
        exit
        ;;
    '') ;;
    *) die "unknown argument $1" ;;
esac

[ ! -d "$folder" ] || exit 0
command -v go >/dev/null || die "Go is missing; install 1.26 or later: https://go.dev/dl"

# Built aside, and renamed when whole. What an interrupted build finished is kept.
readonly building=$folder.building
mkdir -p "$building"
exec 9>"$building/.lock"
if ! flock -n 9; then
    echo "waiting for another build of the same ..." >&2
    flock 9
fi
if [ -d "$folder" ]; then
    echo "the other build made $folder" >&2
    exit 0
fi

# Settings of the user's that would change what is built.
export GOFLAGS=-mod=readonly GOWORK=off CGO_ENABLED=0
unset GOOS GOARCH GOEXPERIMENT
# An older Go fetches the one that go.mod asks for.
go=$(cd "$sources/kubernetes" && GOTOOLCHAIN=auto go env GOVERSION 2>&1) || die "no Go 1.26 or later: $go" "install it: https://go.dev/dl"

# The servers say a version of their own, which `go build` has to be told; and containerd is built for what is used.
kubernetes=$(cd "$sources/kubernetes" && GOTOOLCHAIN=auto go list -m -f '{{.Version}}' k8s.io/kubernetes)
[[ $kubernetes = v1.* ]] || die "$sources/kubernetes/go.mod names no version of Kubernetes"
IFS=. read -r major minor _ <<<"${kubernetes#v}"
readonly component=k8s.io/component-base/version
readonly kubernetes_flags="-X $component.gitVersion=$kubernetes -X $component.gitMajor=$major -X $component.gitMinor=$minor -X $component.gitTreeState=clean"
readonly containerd_tags=no_btrfs,no_devmapper,no_zfs

build() { # MODULE PACKAGE NAME
    local flags="-s -w"
    [ "$1" != kubernetes ] || flags="$flags $kubernetes_flags"
    (cd "$sources/$1" && GOTOOLCHAIN=auto go build -trimpath -buildvcs=false -tags "$containerd_tags" -ldflags "$flags" -o "$building/$3.new" "$2")
    mv "$building/$3.new" "$building/$3"
}

total=$(wc -w <<<"$tools")
number=0
echo "building the test cluster's programs into $folder with $go, once: four to ten minutes on two cores" >&2
for line in $tools; do
    IFS='=' read -r module package name <<<"$line"
    name=${name:-${package##*/}}
    number=$((number + 1))
    if [ -x "$building/$name" ]; then
        printf '[%2d/%d] %s: there\n' "$number" "$total" "$name" >&2
        continue
    fi
    printf '[%2d/%d] %s ...\n' "$number" "$total" "$name" >&2
    started=$SECONDS
    build "$module" "$package" "$name" || die "$name could not be built; what go says is above"
    printf '[%2d/%d] %s: %d s\n' "$number" "$total" "$name" $((SECONDS - started)) >&2
done
rm -f "$building/.lock"
mv "$building" "$folder"
printf '%s: %s in %d s\n' "$folder" "$(du -sh "$folder" | cut -f1)" "$SECONDS" >&2
