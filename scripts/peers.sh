#!/bin/sh
# Prints the folder of a Python environment that holds PyTorch and Lightning at the versions golite's fixtures
# and cross-checks are recorded with; makes it first when it is absent. Neither building nor testing golite needs it.
#
#   "$(scripts/peers.sh)/bin/python" scripts/fixtures/record_init.py
set -eu

peers="${XDG_CACHE_HOME:-$HOME/.cache}/golite/peers"
stamp="torch==2.11.0 lightning==2.6.6 numpy==2.4.6 safetensors==0.8.0 tensorboard==2.21.0"

if [ ! -x "$peers/bin/python" ] || ! "$peers/bin/python" -c 'import torch, lightning, numpy, safetensors, tensorboard' >/dev/null 2>&1; then
    echo "making a Python environment in $peers: $stamp" >&2
    mkdir -p "$(dirname "$peers")"
    python3 -m venv "$peers" >&2
    # shellcheck disable=SC2086 # the stamp is a list of requirements
    "$peers/bin/pip" install --quiet --disable-pip-version-check $stamp >&2
fi
echo "$peers"
