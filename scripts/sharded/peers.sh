#!/bin/sh
# Prints the folder of a Python environment with DeepSpeed beside what scripts/peers.sh installs; makes it first when it
# is absent. The scripts of this folder need it; building and testing golite do not.
#
#   "$(scripts/sharded/peers.sh)/bin/python" scripts/sharded/record_sharded.py
set -eu

here="$(cd "$(dirname "$0")" && pwd)"
peers="$("$here/../peers.sh")"
env="${XDG_CACHE_HOME:-$HOME/.cache}/golite/peers-deepspeed"
needs="einops hjson==3.1.0 msgpack ninja py-cpuinfo psutil pydantic==2.13.4 tqdm setuptools<81 wheel"

export DS_ACCELERATOR=cpu DS_BUILD_OPS=0
if [ ! -x "$env/bin/python" ] || ! "$env/bin/python" -c 'import deepspeed, torch' >/dev/null 2>&1; then
    echo "making a Python environment in $env: deepspeed==0.19.8" >&2
    "$peers/bin/python" -m venv "$env" >&2
    "$env/bin/python" -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])' | {
        read -r mine
        "$peers/bin/python" -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])' >"$mine/peers.pth"
    }
    # shellcheck disable=SC2086 # a list of requirements
    "$env/bin/pip" install --quiet --disable-pip-version-check $needs >&2
    "$env/bin/pip" install --quiet --disable-pip-version-check --no-deps --no-build-isolation deepspeed==0.19.8 >&2
fi
echo "$env"
