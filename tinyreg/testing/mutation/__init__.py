"""Mutation: wrong versions of what is checked, to see that the checks can fail."""

from __future__ import annotations

from .check import Tally, check_mutants, tallied
from .planted import planted, planted_in, shared
from .source import Mutant, mutants

__all__ = ["Mutant", "Tally", "check_mutants", "mutants", "planted", "planted_in", "shared", "tallied"]
