"""What was measured, as Markdown tables."""

import argparse
import datetime
import statistics
from dataclasses import dataclass, field

from machine import Machine
from networks import ANY_BATCH, NAMES, TRANSFORMERS
from peers import BEFORE, OURS, REFERENCE, SETTINGS

LARGE_ERROR = 1e-3  # absolute, of outputs of rms about 1.6: more is marked


@dataclass
class Row:
    """One network, batch size and number of threads, and what was measured of each engine."""

    network: str
    batch: int
    threads: int
    multiply_adds: int = 0  # per image
    peak_gflops: float | None = None
    load_average: float = 0.0
    output_rms: float = 0.0
    errors: dict[str, float] = field(default_factory=dict)  # largest difference from ONNX Runtime
    seconds: dict[str, list[float]] = field(default_factory=dict)  # per image, one for each round

    @classmethod
    def parse(cls, text: str) -> "Row":
        """NETWORK:BATCH,THREADS"""
        name, _, numbers = text.partition(":")
        try:
            batch, threads = (int(number) for number in numbers.split(","))
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r}: expected NETWORK:BATCH,THREADS") from None
        if name not in NAMES:
            raise argparse.ArgumentTypeError(f"{name!r}: expected one of {', '.join(NAMES)}")
        if batch != 1 and name not in (*ANY_BATCH, *TRANSFORMERS):
            raise argparse.ArgumentTypeError(f"{text!r}: {name} takes one image")
        return cls(name, batch, threads)

    @property
    def title(self) -> str:
        return f"{self.network} ({self.batch}, {self.threads})"

    def ms(self, name: str) -> float:
        """Milliseconds per image: the median of the rounds."""
        return statistics.median(self.seconds[name]) * 1e3

    def ratio(self, peer: str) -> float:
        """Our time over a peer's: the median of the rounds' ratios, whose turns lie close together."""
        pairs = zip(self.seconds[OURS], self.seconds[peer], strict=True)
        return statistics.median(ours / theirs for ours, theirs in pairs)

    def peak_share(self, name: str) -> str:
        """Multiply-adds of the plain network per second over the machine's (Winograd does fewer)."""
        if self.peak_gflops is None:
            return ""
        return f"{2 * self.multiply_adds / self.ms(name) / (self.peak_gflops * 1e6):.0%}"

    def fastest_peer(self) -> str:
        """The fastest among the fp32 settings of the others, ONNX Runtime at least."""
        peers = (name for name in self.seconds if name not in (OURS, BEFORE) and not SETTINGS[name].reduced)
        return min(peers, key=self.ms)


def markdown(rows: list[Row], machine: Machine, versions: dict[str, str], rounds: int, cpu_time: bool) -> str:
    """A head that says what was measured where, our table against the fastest peer, and one with all."""
    peaks = {row.threads: row.peak_gflops for row in rows if row.peak_gflops is not None}
    loads = [row.load_average for row in rows]
    lines = [
        f"{machine.cpu}, {machine.cores} cores ({machine.isa})"
        + "".join(f", {value:.0f} GFLOP/s of fp32 multiply-adds on {n}" for n, value in sorted(peaks.items()))
        + f". {datetime.date.today()}, load average {min(loads):.1f} to {max(loads):.1f}. ",
        f"Milliseconds{' of processor time' if cpu_time else ''} per image: "
        f"medians of {rounds} rounds in which the engines took turns.",
        "",
    ]
    if any(OURS in row.seconds for row in rows):
        lines += ours(rows)
    if any(BEFORE in row.seconds for row in rows):
        lines += before(rows)
    return "\n".join(lines + everyone(rows, versions))


def ours(rows: list[Row]) -> list[str]:
    lines = [
        "| network (batch, threads) | multiply-adds | xcos, ms | of peak "
        "| fastest fp32 peer | its ms | of peak | xcos / peer |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        if OURS in row.seconds:
            peer = row.fastest_peer()
            cells = [
                row.title,
                f"{row.multiply_adds / 1e6:,.0f} M",
                f"{row.ms(OURS):.2f}",
                row.peak_share(OURS),
                peer,
                f"{row.ms(peer):.2f}",
                row.peak_share(peer),
                f"**{row.ratio(peer):.2f}**",
            ]
            lines.append(f"| {' | '.join(cells)} |")
    return [*lines, ""]


def before(rows: list[Row]) -> list[str]:
    """Our table against the other checkout."""
    lines = ["| network (batch, threads) | xcos, ms | before, ms | xcos / before |", "|---|---|---|---|"]
    lines += [
        f"| {row.title} | {row.ms(OURS):.3f} | {row.ms(BEFORE):.3f} | **{row.ratio(BEFORE):.3f}** |"
        for row in rows
        if OURS in row.seconds and BEFORE in row.seconds
    ]
    return [*lines, ""]


def everyone(rows: list[Row], versions: dict[str, str]) -> list[str]:
    lines = [
        "| engine | " + " | ".join(row.title for row in rows) + " | largest error |",
        "|---|" + "---|" * (len(rows) + 1),
    ]
    for name in versions:
        errors = [row.errors[name] for row in rows if name in row.errors]
        if not errors:
            continue
        cells = []
        for row in rows:
            if name not in row.seconds:
                cells.append("")
                continue
            mark = "†" if row.errors[name] > LARGE_ERROR else ""
            cell = f"{row.ms(name):.2f}{mark}"
            cells.append(f"**{cell}**" if name == min(row.seconds, key=row.ms) else cell)
        title = f"*{name}*" if SETTINGS[name].reduced else name
        error = "(reference)" if name == REFERENCE else f"{max(errors):.1e}"
        lines.append(f"| {title} {versions[name]} | " + " | ".join(cells) + f" | {error} |")
    rms = ", ".join(f"{row.output_rms:.2f}" for row in rows)
    lines += [
        "",
        f"Errors: largest absolute difference from {REFERENCE} over the rows; rms of the outputs: {rms}. "
        f"† more than {LARGE_ERROR:g}. In italics: less than fp32 somewhere, not counted among the peers. "
        "Of peak: multiply-adds of the plain network; Winograd does fewer, so it can pass 100 %.",
    ]
    return lines
