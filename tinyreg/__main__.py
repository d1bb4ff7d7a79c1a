"""The command line: `python -m tinyreg explore SCRIPT.py`."""

from .explore.script import run

if __name__ == "__main__":
    run()
