"""docs/PERFORMANCE.md: the place of each run's tables in it, and what has become slower than it says."""
import re

from table import Table, memory

FELL = 0.9  # of the documented ratio


def _part(name):
    return re.compile(rf"(<!-- measured: {name} -->\n).*?(<!-- end -->)", re.DOTALL)


def _whose(failure):
    """The peer and the row; the reason is for whoever ran it."""
    return ": ".join(failure.split(": ")[:2])


def write(path, kind, run):
    """Replaces what stands between <!-- measured: KIND --> and <!-- end -->."""
    text = path.read_text()
    if not _part(kind).search(text):
        raise SystemExit(f"bench: {path} has no place for {kind}")
    about = run["about"]
    parts = [
        f"{about['date']}, {about['machine']}; kmsfs at {about['commit']}. Rates, median of {about['rounds']}"
        f"{'' if not about['once'] else ' (' + ', '.join(about['once']) + ': of one)'}; higher is better.\n`{about['command']}`\n",
        Table.of_run(run).markdown(),
        "Resident memory of the daemon in MiB, after the row / at most within it:\n",
        memory(run),
        *(["Left out: " + "; ".join(dict.fromkeys(map(_whose, run["failures"]))) + ".\n"] if run["failures"] else []),
    ]
    path.write_text(_part(kind).sub(lambda match: match[1] + "\n".join(parts) + match[2], text))


def read(path, kind):
    """The table that stands there; None if there is none."""
    part = _part(kind).search(path.read_text())
    if not part:
        return None
    lines = [line.strip().strip("|").split("|") for line in part[0].splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line] for line in lines]
    ends = next((i for i, line in enumerate(cells[1:], 1) if line[0] == "row"), len(cells))  # the second table is of memory
    if not cells:
        return None
    columns = [head for head in cells[0][1:] if " : " not in head]
    rates = {}
    for line in cells[2:ends]:
        rates[line[0]] = {column: float(cell.replace(",", "")) for column, cell in zip(columns, line[1:]) if cell}
    return Table(columns, rates)


def fallen(documented, measured):
    """A sentence for each ratio of kmsfs that is less than nine tenths of what is documented."""
    sentences = []
    among = [name for name in documented.columns if name in measured.columns]
    for column in (name for name in among if name.startswith("kmsfs")):
        for row in documented.rates:
            for base, before, now in (
                ("null", documented.to_null(row, column), measured.to_null(row, column)),
                ("the best peer", documented.to_best(row, column, among), measured.to_best(row, column, among)),
            ):
                if before and now and now < before * FELL:
                    sentences.append(f"{column}: {row}: {now:.2f} of {base}, documented is {before:.2f} ({now / before - 1:+.0%})")
    return sentences
