"""All workloads, by name. Each file has one, or a family of them."""

from __future__ import annotations

from .base import Workload
from .capturing import ARENA, COMPILING, FIRST, LATER, OVERHEAD
from .chain import CHAIN
from .convolution import CONVOLUTION
from .imports import IMPORTS
from .memory import MEMORY
from .networks import GROWTH, NETWORKS
from .ops import OPS
from .optimizers import OPTIMIZERS
from .parts import PARTS
from .transformer import TRANSFORMER

STEPS = (NETWORKS, CONVOLUTION, TRANSFORMER, PARTS, OPS, CHAIN, OPTIMIZERS, IMPORTS, MEMORY, GROWTH)
PROGRAMS = (FIRST, COMPILING, LATER, ARENA, OVERHEAD)
WORKLOADS: dict[str, Workload] = {workload.name: workload for workload in (*STEPS, *PROGRAMS)}
