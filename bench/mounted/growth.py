"""How cost grows: with the number of files and with the number of programs, of kmsfs and of what it is compared with; plotted as PNG.

The measured points are kept in growth.json beside the plots, so that they can be drawn again without being measured again.
"""
import json
import os
import pathlib
import time

from mounts import Place
from processes import in_child, in_parallel
from small_files import create_each, read_each

FILES_IN_DIRECTORY = 1000
SAMPLE = 2000  # of the files that are read, opened or looked at: all of the million would say the same
CONTENT = b"a small file\n" * 100
PROGRAMS = [1, 2, 4, 8, 16]


def _path(top, number):
    return f"{top}/d{number // FILES_IN_DIRECTORY}/f{number}"


def _create(top, numbers):
    create_each((_path(top, number) for number in numbers), CONTENT)


def _read(top, numbers):
    read_each((_path(top, number) for number in numbers), CONTENT)


def _make_directories(top, first, last):
    for directory in range(first // FILES_IN_DIRECTORY, (last - 1) // FILES_IN_DIRECTORY + 1):
        os.makedirs(f"{top}/d{directory}", exist_ok=True)


def _each(count, work):
    """Microseconds."""
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) / count * 1e6


def _grow(top, before, count):
    """Files are added until there are `count`; each cost is of some, spread over all that there are."""
    _make_directories(top, before, count)
    some = range(0, count, max(1, count // SAMPLE))
    created = _each(count - before, lambda: _create(top, range(before, count)))
    extra = [f"{top}/d0/extra{number}" for number in range(500)]
    for path in extra:
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY))
    return {"create": created, "unlink": _each(len(extra), lambda: [os.unlink(path) for path in extra]), "some": len(some)}


def _look(top, count):
    some = range(0, count, max(1, count // SAMPLE))
    return {"stat, cold": _each(len(some), lambda: [os.stat(_path(top, number)) for number in some]),
            "open and read, cold": _each(len(some), lambda: _read(top, some))}


def by_files(place, counts):
    """costs[operation][count] in microseconds, and the daemon's memory per file in bytes."""
    costs, before = {}, 0
    top = str(place.directory / "growth")
    os.mkdir(top)
    for count in counts:
        points = in_child(lambda: _grow(top, before, count), 900, place.abort)
        del points["some"]
        points["MiB of the daemon"] = (place.memory_kib()[0] or 0) / 1024
        place.make_cold()
        points |= in_child(lambda: _look(top, count), 300, place.abort)
        for name, cost in points.items():
            costs.setdefault(name, {})[count] = cost
        before = count
    return costs


def by_programs(place, files):
    """rates[operation][programs] per second, all programs together."""
    rates = {}
    for programs in PROGRAMS:
        top = str(place.directory / f"programs{programs}")

        def create():
            _make_directories(top, 0, files)
            return files / in_parallel(programs, lambda worker: _create(top, range(worker, files, programs)))

        def read():
            return files / in_parallel(programs, lambda worker: _read(top, range(worker, files, programs)))

        rates.setdefault("create", {})[programs] = in_child(create, 120, place.abort)
        place.make_cold()
        rates.setdefault("open and read, cold", {})[programs] = in_child(read, 120, place.abort)
    return rates


def measure(disk, drops_caches, peers, most_files, files):
    counts = [10 ** power for power in range(3, 8) if 10 ** power <= most_files]
    points = {}
    for peer in peers:
        print(f"bench: growth: {peer.name}", flush=True)
        with Place(peer, disk, drops_caches) as place:
            points[peer.name] = {"files": by_files(place, counts), "programs": by_programs(place, files)}
    return points


def pyplot():
    """What draws, which nothing else here needs; before hours of measuring it is good to know that it is there."""
    try:
        import matplotlib
    except ImportError:
        raise SystemExit("bench: plots are drawn by matplotlib, and it is not there (apt-get install python3-matplotlib)") from None
    matplotlib.use("Agg")
    from matplotlib import pyplot as plots
    return plots


def draw(points, directory, plots):
    """Two PNG files in the directory, by pyplot()."""

    def figure(kind, name, x, y):
        operations = list(dict.fromkeys(operation for of_peer in points.values() for operation in of_peer[kind]))
        drawing, axes = plots.subplots(1, len(operations), figsize=(3.6 * len(operations), 3.2), layout="constrained", squeeze=False)
        for axis, operation in zip(axes[0], operations):
            for peer, of_peer in points.items():
                line = {int(count): value for count, value in of_peer[kind].get(operation, {}).items()}
                axis.plot(list(line), list(line.values()), marker="o", markersize=3, label=peer)
            axis.set_xscale("log", base=10 if kind == "files" else 2)
            axis.set_ylim(bottom=0)
            axis.set_title(operation, fontsize=9)
            axis.set_xlabel(x)
            axis.grid(True, which="major", alpha=0.3)
        axes[0][0].set_ylabel(y)
        axes[0][0].legend(fontsize=8)
        drawing.savefig(directory / name, dpi=110)

    figure("files", "growth-files.png", "files", "µs each")
    figure("programs", "growth-programs.png", "programs at once", "per second, together")


def save(points, directory):
    directory = pathlib.Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "growth.json").write_text(json.dumps(points, indent=1) + "\n")


def load(directory):
    return json.loads((pathlib.Path(directory) / "growth.json").read_text())
