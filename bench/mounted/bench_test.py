"""A run over a mount with the smallest sizes has every row, says nothing is missing, and leaves nothing behind.

usage: bench_test.py KMSFS NULL_PASSTHROUGH        exit status 77: it cannot run here
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

ROWS = ["create 4 KiB files, /s", "stat, cold, /s", "read 4 KiB files, cold, /s", "unlink, /s", "create by 4 processes, /s",
        "read 4 KiB files by 4 processes, cold, /s", "untar, files/s", "rm -r, files/s"]
PEERS = ["null", "kmsfs"]


def main():
    if os.geteuid() != 0 or not os.path.exists("/dev/fuse"):
        print("needs root and /dev/fuse")
        return 77
    main_file = pathlib.Path(__file__).with_name("main.py")
    with tempfile.TemporaryDirectory() as directory:
        result = pathlib.Path(directory) / "result.json"
        run = subprocess.run(
            ["timeout", "--kill-after=10", "100", sys.executable, "-B", str(main_file), "--directory", directory, "--program", sys.argv[1],
             "--null", sys.argv[2], "--rounds", "1", "--files", "40", "--tree-files", "100", "--out", str(result), "--minutes", "1.2",
             "--rows", "unlink,untar", *PEERS], stdin=subprocess.DEVNULL, check=False)
        assert run.returncode == 0, f"exit status {run.returncode}"
        measured = json.loads(result.read_text())
        assert measured["failures"] == [], measured["failures"]
        for peer in PEERS:
            assert list(measured["rates"][peer]) == ROWS, list(measured["rates"][peer])
            assert measured["memory_kib"][peer]["unlink, /s"][0][0] > 0, "the daemon's memory is not known"
        assert directory not in pathlib.Path("/proc/self/mountinfo").read_text(), "something is still mounted"
    return 0


if __name__ == "__main__":
    sys.exit(main())
