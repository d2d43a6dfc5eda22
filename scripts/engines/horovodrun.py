"""Starts a command on ranks of this host as `horovodrun --gloo -np N` does, by Horovod's own launcher. horovodrun itself first
looks for a framework that Horovod was compiled for; ranks in Go need none.

    python -m venv VENV && HOROVOD_WITHOUT_PYTORCH=1 HOROVOD_WITHOUT_TENSORFLOW=1 HOROVOD_WITHOUT_MXNET=1 HOROVOD_WITHOUT_MPI=1 \
        HOROVOD_WITHOUT_GLOO=1 VENV/bin/pip install 'setuptools<70' wheel cloudpickle psutil pyyaml packaging &&
        ... VENV/bin/pip install --no-build-isolation horovod==0.28.1
    VENV/bin/python scripts/engines/horovodrun.py N COMMAND...
"""

import os
import sys

from horovod.runner.common.util import secret, timeout
from horovod.runner.common.util.settings import Settings
from horovod.runner.gloo_run import _exec_command_fn, launch_gloo


def main():
    ranks = int(sys.argv[1])
    settings = Settings(
        num_proc=ranks,
        hosts=f"localhost:{ranks}",
        verbose=0,
        key=secret.make_secret_key(),
        start_timeout=timeout.Timeout(60, "the ranks did not start within {timeout} seconds"),
        nics={"lo"},
        elastic=False,
        run_func_mode=False,
        ssh_port=None,
        ssh_identity_file=None,
        output_filename=None,
        prefix_output_with_timestamp=False,
        binding_args=None,
    )
    launch_gloo(sys.argv[2:], _exec_command_fn(settings), settings, {"lo"}, os.environ.copy(), "127.0.0.1")


if __name__ == "__main__":
    main()
