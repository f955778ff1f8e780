"""The table of a run: Markdown, which is also readable on a terminal."""
import statistics

import rows



def is_peer(name):
    """A file system of others that encrypts."""
    return name != "raw" and not name.startswith(("null", "kmsfs"))


class Table:
    """rates[row][column], and the columns in order."""

    def __init__(self, columns, rates):
        self.columns, self.rates = columns, rates

    @staticmethod
    def of_run(run):
        columns = list(run["rates"])
        return Table(columns, {
            row: {column: statistics.median(run["rates"][column][row]) for column in columns if row in run["rates"][column]}
            for row in rows.NAMES if any(row in run["rates"][column] for column in columns)
        })

    def to_null(self, row, column):
        """How many times as fast as the null file system, over the same transport if it was measured; None where either is missing."""
        rates = self.rates.get(row, {})
        alike = column.partition("@")[0].replace("kmsfs", "null")
        null = rates.get(alike, rates.get("null"))
        return rates[column] / null if column in rates and null else None

    def to_best(self, row, column, among=None):
        """How many times as fast as the best of the peers."""
        rates = self.rates.get(row, {})
        peers = [rates[name] for name in rates if is_peer(name) and (among is None or name in among)]
        return rates[column] / max(peers) if column in rates and peers and max(peers) > 0 else None

    def markdown(self):
        own = "kmsfs" if "kmsfs" in self.columns else next((name for name in self.columns if name.startswith("kmsfs")), None)
        heads = list(self.columns) + ([f"{own} : best peer", f"{own} : null"] if own else [])
        lines = [["row", *heads]]
        for row, rates in self.rates.items():
            cells = [_figure(rates.get(column)) for column in self.columns]
            if own:
                cells += [_ratio(self.to_best(row, own)), _ratio(self.to_null(row, own))]
            lines.append([row, *cells])
        return _aligned(lines)


def memory(run):
    """Markdown: MiB that the daemon holds after each row, and at most within it."""
    columns = list(run["memory_kib"])
    lines = [["row", *columns]]
    for row in rows.NAMES:
        cells = []
        for column in columns:
            sizes = [size for size in run["memory_kib"][column].get(row, []) if None not in size]
            cells.append(f"{max(s[0] for s in sizes) / 1024:.0f} / {max(s[1] for s in sizes) / 1024:.0f}" if sizes else "")
        if any(cells):
            lines.append([row, *cells])
    return _aligned(lines)


def processor(run):
    """Markdown: seconds of processor time that the daemon took in each row. Less noisy than rates where a row is a fixed amount of work."""
    columns = [column for column in run["processor_seconds"] if column != "raw"]
    lines = [["row", *columns]]
    for row in rows.NAMES:
        cells = [f"{statistics.median(run['processor_seconds'][column][row]):.2f}" if row in run["processor_seconds"][column] else ""
                 for column in columns]
        if any(cells):
            lines.append([row, *cells])
    return _aligned(lines)


def _figure(value):
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 20 else f"{value:.1f}"


def _ratio(value):
    return "" if value is None else f"{value:.2f}"


def _aligned(lines):
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]

    def one(line):
        return "| " + " | ".join(cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(line, widths))) + " |"

    rule = "|" + "|".join("-" * (w + 2) if i == 0 else "-" * (w + 1) + ":" for i, w in enumerate(widths)) + "|"
    return "\n".join([one(lines[0]), rule, *map(one, lines[1:])]) + "\n"
