"""`python -m lexiseg_models`: see `--help`."""

import sys

from lexiseg_models.export.command import main

if __name__ == "__main__":
    sys.exit(main())
