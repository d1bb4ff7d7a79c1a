"""What a finding claims, as numbers: its wording is free, but not how large a change is, which way, and how clear."""

import re

CHANGE = re.compile(
    r"(?P<size>\d+(\.\d+)?)( points| nats)? (?P<way>lower|fewer|shorter|higher|more|longer)\b"
    r"|not clearly different( \((?P<unclear>[+-]\d+(\.\d+)?))?"
)
DOWN = ("lower", "fewer", "shorter")


def clear(finding):
    """The changes that are said to be clear, with their sign."""
    claims = [match for match in CHANGE.finditer(finding) if match["size"]]
    return [-float(match["size"]) if match["way"] in DOWN else float(match["size"]) for match in claims]


def unclear(finding):
    """The changes that are said not to be, None where no number is given."""
    claims = [match for match in CHANGE.finditer(finding) if not match["size"]]
    return [match["unclear"] and float(match["unclear"]) for match in claims]
