#!/usr/bin/env bash
# Runs the real Triton on a CPU, as scripts/need.sh has installed it, in the place of this shell: signals reach it.
#
#   PORT_HTTP=8000 PORT_GRPC=8001 PORT_METRICS=8002 serve.sh MODEL_REPOSITORY [ARGUMENTS...]
set -euo pipefail

tools=$(cd "$(dirname "$0")/../.." && pwd)/target/tools/triton
server=$tools/server
bundle=$(echo "$server"/lib/python3.*/site-packages)
repository=$1
shift

# The models run in the venv's Python. Its libpython has to be the one that the backend's stub finds.
export PATH=$server/bin:$PATH
LD_LIBRARY_PATH=$bundle/nvidia_pytriton.libs:$(<"$tools/libdir")${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
export LD_LIBRARY_PATH

# Two servers with one prefix would write to each other's shared memory; a killed one leaves its own behind.
for memory in /dev/shm/reveille-triton-*; do
    pid=${memory#*-triton-}
    [ -e "/proc/${pid%%-*}" ] || rm -f "$memory"
done
exec "$bundle/pytriton/tritonserver/bin/tritonserver" \
    --model-repository="$repository" \
    --backend-directory="$bundle/pytriton/tritonserver/backends" \
    --http-address=127.0.0.1 --http-port="$PORT_HTTP" \
    --grpc-address=127.0.0.1 --grpc-port="$PORT_GRPC" \
    --metrics-address=127.0.0.1 --metrics-port="$PORT_METRICS" \
    --allow-gpu-metrics=false \
    --backend-config=python,shm-default-byte-size=4194304 \
    --backend-config=python,shm-region-prefix-name="reveille-triton-$$-" \
    "$@"
