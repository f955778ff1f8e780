"""Measures kmsfs beside its peers; see --help and docs/PERFORMANCE.md."""
import argparse
import json
import os
import pathlib
import platform
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time

import document
import growth
import peers
import rows
import table
from backing import backing
from processes import command
from run import Runner
from trees import prepare

ROOT = pathlib.Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs" / "PERFORMANCE.md"
PLOTS = ROOT / "docs" / "performance"
DEFAULT = ["raw", "null", "gocryptfs", "securefs", "encfs", "cryfs", "kmsfs"]
QUICK = ["kmsfs", "null", "gocryptfs", "securefs"]  # the fastest of all rows are among them
GROWTH = ["null", "kmsfs"]
SLOW = ["cryfs"]  # each mount takes its time, and it is never the best of a row: one round, at the end, says enough


def _arguments():
    parser = argparse.ArgumentParser(prog="scripts/bench", description="Measure kmsfs beside other encrypted file systems.")
    parser.add_argument("peers", nargs="*", help=f"what to measure (default: {' '.join(DEFAULT)}); also kmsfs-"
                        f"{{{','.join(peers.VARIANTS)}}}, and kmsfs@PROGRAM for another build of it")
    parser.add_argument("--on", choices=["tmpfs", "ext4"], default="tmpfs", help="the disk below; ext4 is on a loop device")
    parser.add_argument("--directory", default="/var/tmp", help="where the disk is made (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=22, help="begin nothing after that time (default: %(default)s)")
    parser.add_argument("--rows", default="", metavar="TEXT,...", help="only groups of rows with a row whose name contains one of these")
    parser.add_argument("--short", action="store_true", help="small sizes and one round, within two minutes: a report, not a judgement")
    parser.add_argument("--check", action="store_true", help="name the ratios that are a tenth below docs/PERFORMANCE.md; exit status 1 if any is")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/PERFORMANCE.md")
    parser.add_argument("--from", dest="source", metavar="FILE", help="measure nothing; take this result")
    parser.add_argument("--growth", action="store_true", help="measure instead how cost grows with files and programs, into docs/performance")
    parser.add_argument("--most-files", type=int, default=1_000_000, metavar="N", help="of --growth (default: %(default)s)")
    parser.add_argument("--draw", action="store_true", help="measure nothing; draw the plots of --growth again")
    parser.add_argument("--out", metavar="FILE", help="keep the result, as JSON")
    parser.add_argument("--program", default=str(ROOT / "build/release/cli/kmsfs"), metavar="KMSFS")
    parser.add_argument("--null", default=str(ROOT / "build/release/bench/mounted/null_passthrough"), metavar="PROGRAM",
                        help="the file system that does nothing but pass on")
    for name, default in vars(rows.Sizes()).items():
        parser.add_argument("--" + name.replace("_", "-"), type=int, metavar="N", help=f"(default: {default})")
    return parser.parse_args()


def _sizes(arguments):
    base = rows.Sizes.short() if arguments.short else rows.Sizes()
    return rows.Sizes(**{name: given if (given := getattr(arguments, name)) is not None else value for name, value in vars(base).items()})


def _machine():
    model = re.search(r"^model name\s*: (.*)$", pathlib.Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 30
    return f"{os.cpu_count()} processors ({model[1] if model else platform.machine()}), {memory} GiB, Linux {platform.release()}"


def _commit():
    try:
        return command(["git", "-C", str(ROOT), "-c", "safe.directory=*", "describe", "--always", "--dirty"]).strip()
    except Exception:  # an archive without history
        return "unknown"


def _peers(arguments):
    """Those that are there."""
    usual = GROWTH if arguments.growth else QUICK if arguments.short or arguments.check else DEFAULT
    chosen = [peers.peer(name, arguments.program, arguments.null) for name in arguments.peers or usual]
    for peer in chosen:
        if peer.missing():
            print(f"bench: left out: {peer.missing()}", file=sys.stderr)
    return [peer for peer in chosen if not peer.missing()]


def _measure(arguments):
    there = _peers(arguments)
    sizes, rounds = _sizes(arguments), 1 if arguments.short else arguments.rounds
    minutes = min(arguments.minutes, 1.5) if arguments.short else arguments.minutes
    with backing(arguments.on, arguments.directory) as disk:
        scratch = disk / "scratch"
        scratch.mkdir()
        scenes = rows.chosen(arguments.rows.split(","))
        prepare(scratch, sizes.tree_files)
        runner = Runner(disk, arguments.on != "tmpfs", scratch, sizes, scenes, rounds, minutes)
        runner.run(there, SLOW)
        shutil.rmtree(scratch)
    about = {"date": time.strftime("%Y-%m-%d"), "machine": _machine(), "commit": _commit(), "on": arguments.on, "rounds": rounds,
             "once": [peer.name for peer in there if peer.name in SLOW and rounds > 1], "sizes": vars(sizes),
             "command": shlex.join(["scripts/bench", *sys.argv[1:]])}
    return {"about": about, **runner.results.as_json()}


def _measure_growth(arguments):
    with backing(arguments.on, arguments.directory) as disk:
        points = growth.measure(disk, arguments.on != "tmpfs", _peers(arguments), arguments.most_files, _sizes(arguments).files)
    growth.save(points, PLOTS)


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what is mounted is unmounted
    arguments = _arguments()
    if os.geteuid() != 0 and not arguments.source and not arguments.draw:
        sys.exit("bench: this needs root, to mount disks and drop caches")
    if arguments.growth or arguments.draw:
        plots = growth.pyplot()
        if not arguments.draw:
            _measure_growth(arguments)
        growth.draw(growth.load(PLOTS), PLOTS, plots)
        return
    run = json.loads(pathlib.Path(arguments.source).read_text()) if arguments.source else _measure(arguments)
    if arguments.out:
        pathlib.Path(arguments.out).write_text(json.dumps(run, indent=1) + "\n")
    measured = table.Table.of_run(run)
    print(measured.markdown())
    print("MiB of the daemon, after / at most:")
    print(table.memory(run))
    print("Seconds of processor time of the daemon:")
    print(table.processor(run))
    if arguments.write:
        document.write(DOCUMENT, run["about"]["on"], run)
    if arguments.check:
        documented = document.read(DOCUMENT, run["about"]["on"])
        if documented is None:
            sys.exit(f"bench: {DOCUMENT} has no table to compare with")
        fell = document.fallen(documented, measured)
        print("\n".join(fell) if fell else "No ratio is a tenth below docs/PERFORMANCE.md.")
        sys.exit(1 if fell else 0)


if __name__ == "__main__":
    main()
