"""Results as a table, as a picture and as JSON."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from tinyreg import files

from .measure import Result
from .peers import BY_HAND, OURS, PEERS, REFERENCES


class Spread(NamedTuple):
    """A median with its quartiles."""

    median: float
    quartile_1: float
    quartile_3: float

    @classmethod
    def of(cls, numbers: Sequence[float]) -> Spread:
        """Of at least one number."""
        low, median, high = statistics.quantiles(numbers, n=4, method="inclusive") if len(numbers) > 1 else [*numbers] * 3
        return cls(median, low, high)

    def __str__(self) -> str:
        median, low, high = (f"{n:,.0f}" if n >= 1000 else f"{n:.3g}" for n in self)
        return f"{median} [{low} {high}]"


def ratios(result: Result, of_case: Iterable[Result]) -> dict[str, Spread]:
    """To each reference, round by round: the two stand side by side in time, so that what slows one slows the other."""
    references = {other.peer: other.rounds for other in of_case if other.peer in REFERENCES}
    return {
        name: Spread.of([own / other for own, other in zip(result.rounds, rounds, strict=True)])
        for name, rounds in references.items()
        if result.rounds and rounds and all(rounds)
    }


def by_case(results: Iterable[Result]) -> list[tuple[tuple[str, str, str], list[Result]]]:
    """Results that are compared with one another."""

    def key(result: Result) -> tuple[str, str, str]:
        return result.workload, result.threads, result.case

    return [(name, list(group)) for name, group in groupby(results, key)]


def table(results: Sequence[Result]) -> str:
    """A line a peer: its median and quartiles in the unit of the workload, and as multiples of the references."""
    lines = []
    before = ("", "")
    for (workload, threads, case), group in by_case(results):
        if before != (workload, threads):
            before = (workload, threads)
            heads = "".join(f"{'x ' + name:>27}" for name in REFERENCES)
            lines += ["", f"{workload}, threads: {threads}", f"{'':36}{group[0].unit + ' [quartiles]':>27}{heads}"]
        lines.append(case)
        for result in group:
            said = f"    left out: {result.left_out}" if result.left_out else _row(result, group)
            lines.append(f"  {result.peer:34}{said}")
    return "\n".join(lines[1:])


def above(results: Iterable[Result], limit: float = 3.0, explained: Mapping[str, str] | None = None) -> str:
    """A line for each case in which tinyreg takes more than `limit` times PyTorch eager's time, the slowest first.

    explained: why, by case.
    """
    found = []
    for (workload, _, case), group in by_case(results):
        ours = next((result for result in group if result.peer == OURS and workload == "ops"), None)
        ratio = ratios(ours, group).get(REFERENCES[1]) if ours else None
        if ratio and ratio.median > limit:
            reason = (explained or {}).get(case, "not explained")
            found.append((ratio.median, f"  {case:36} x {ratio}: {reason}"))
    return "\n".join([f"above {limit:g} times {REFERENCES[1]}: {len(found)}", *(line for _, line in sorted(found)[::-1])])


def _row(result: Result, group: Sequence[Result]) -> str:
    found = ratios(result, group)
    columns = [str(Spread.of(result.rounds)), *(str(found.get(name, "")) for name in REFERENCES)]
    return "".join(f"{text:>27}" for text in columns)


def stored(results: Sequence[Result], about: Mapping[str, Any]) -> str:
    """JSON: a record a peer and case, with the number of each round."""
    records = [
        {
            **result._asdict(),
            **({"spread": Spread.of(result.rounds)._asdict()} if result.rounds else {}),
            "ratios": {name: spread._asdict() for name, spread in ratios(result, group).items()},
        }
        for _, group in by_case(results)
        for result in group
    ]
    return json.dumps({**about, "results": records}, indent=1) + "\n"


# ---- the picture -----------------------------------------------------------------------------------------------------

LOOKS = dict(zip(PEERS, ("k|", "C3o", "C3*", "C3P", "C3X", "C3d", "C0s", "C0D", "C2^", "C4v", "C5<", "C7>"), strict=True))


def picture(results: Sequence[Result], path: Path, note: str) -> None:
    """Each peer as a multiple of NumPy by hand, a row a case: a mark at the median, a line from quartile to quartile."""
    from matplotlib.figure import Figure

    panels = [(name, by_case(group)) for name, group in groupby(results, lambda r: f"{r.workload}, threads: {r.threads}")]
    heights = [len(cases) + 1.5 for _, cases in panels]
    figure = Figure(figsize=(9, 0.28 * sum(heights) + 1.2), layout="constrained")
    all_axes = figure.subplots(len(panels), 1, squeeze=False, sharex=True, height_ratios=heights)[:, 0]
    for axes, (name, cases) in zip(all_axes, panels, strict=True):
        axes.set_title(name, fontsize=9, loc="left")
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter("{x:g}")
        axes.set_yticks(range(len(cases)), [case for (_, _, case), _ in cases], fontsize=7)
        axes.set_ylim(len(cases) - 0.4, -0.6)
        axes.grid(axis="x", which="both", alpha=0.25, linewidth=0.5)
        axes.axvline(1, color="k", linewidth=0.8)
        axes.spines[["top", "right"]].set_visible(False)
        for row, (_, group) in enumerate(cases):
            for result in group:
                if spread := ratios(result, group).get(BY_HAND):
                    _mark(axes, row, result.peer, spread)
    all_axes[-1].set_xlabel(f"as a multiple of {BY_HAND}", fontsize=8)
    handles = {label: h for axes in all_axes for h, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    figure.legend(
        handles.values(), handles.keys(), loc="outside lower center", ncols=4, fontsize=8, frameon=False, title=note,
        title_fontsize=7,
    )  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_figure(path, figure, "picture")


def _mark(axes: Any, row: int, peer: str, spread: Spread) -> None:
    look, ours = LOOKS[peer], peer == OURS
    colour, marker = look[:-1], look[-1]
    axes.plot([spread.quartile_1, spread.quartile_3], [row, row], color=colour, linewidth=1)
    size, layer = (7, 4) if ours else (4.5, 3)
    axes.plot(spread.median, row, color=colour, marker=marker, markersize=size, linestyle="", zorder=layer, label=peer)
