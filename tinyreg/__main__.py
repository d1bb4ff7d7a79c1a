"""The command line: `python -m tinyreg explore SCRIPT.py`."""

import sys

from .explore.script import main

if __name__ == "__main__":
    sys.exit(main())
