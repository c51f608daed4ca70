"""`python -m lexiseg_models`: see `--help`."""

import os
import sys

if os.environ.get("PYTHONHASHSEED") != "0":
    # TorchScript writes constants in the order of a Python set; with a fixed hash seed the same
    # export gives the same bytes.
    os.environ["PYTHONHASHSEED"] = "0"
    os.execv(sys.executable, [sys.executable, "-m", "lexiseg_models", *sys.argv[1:]])

from lexiseg_models.export.command import main

if __name__ == "__main__":
    sys.exit(main())
