"""One peer in a process of its own: `python -m benchmarks.worker NAME`, so that imports do not disturb one another.

It prints one line of JSON when it is ready, `{"version": ...}` or `{"missing": reason}`; then, for each line
`{"chain": ..., "ops": ...}` that it reads, it runs one round and prints `{"seconds": ..., "values": ...}`.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from typing import Any

from .peers import PEERS, version


def replies(name: str) -> Iterator[dict[str, Any]]:
    """What the process prints."""
    distribution, make = PEERS[name]
    try:
        run = make()
    except ModuleNotFoundError as error:
        if error.name != distribution:
            raise
        yield {"missing": str(error)}
        return
    yield {"version": version(distribution)}
    for line in sys.stdin:
        request = json.loads(line)
        start = time.perf_counter()
        values = run(request["chain"], request["ops"])
        seconds = time.perf_counter() - start
        yield {"seconds": seconds, "values": [value.tolist() for value in values]}


if __name__ == "__main__":
    for reply in replies(sys.argv[1]):
        print(json.dumps(reply), flush=True)
