"""Rows by tar, git, rm and ls on trees of many files; prepare() makes what they start from, outside of what is measured."""
import os
import random
import shutil
import subprocess
import tarfile
import time

from processes import Failed, command, in_parallel

FILES_IN_DIRECTORY = 100
ENTRIES_IN_DIRECTORY = 1000
GIT = ["git", "-c", "safe.directory=*", "-c", "gc.auto=0", "-c", "core.checkStat=minimal", "-c", "core.trustctime=false",
       "-c", "user.name=bench", "-c", "user.email=bench@localhost"]
GIT_ENVIRONMENT = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}


def _git(directory, *arguments, seconds=120):
    return command([*GIT, "-C", str(directory), *arguments], seconds, env=GIT_ENVIRONMENT)


def prepare(scratch, files):
    """In scratch: tree.tar, so many files as sources have them (2 KiB on average), and repository.tar, its .git directory."""
    chance = random.Random(6)
    words = [f"{chance.choice('abcdefgh')}{chance.randrange(1 << 20):x}" for _ in range(4000)]
    source = scratch / "source"
    for number in range(files):
        directory = source / f"part{number // FILES_IN_DIRECTORY:03}"
        if number % FILES_IN_DIRECTORY == 0:
            directory.mkdir(parents=True)
        text = " ".join(chance.choices(words, k=int(chance.lognormvariate(5.3, 0.8)) + 10))
        (directory / f"file{number}.txt").write_text(f"{number} {text}\n")
    _pack(scratch / "tree.tar", source)
    _git(source, "init", "-q", "-b", "main")
    _git(source, "add", ".")
    _git(source, "commit", "-q", "-m", "all")
    _git(source, "repack", "-q", "-a", "-d")
    (source / ".git" / "index").unlink()
    _pack(scratch / "repository.tar", source / ".git", ".git")
    shutil.rmtree(source)


def _pack(archive, directory, name="."):
    with tarfile.open(archive, "w") as tar:
        tar.add(directory, name)


def _timed(count, *arguments, **options):
    start = time.perf_counter()
    command(list(arguments), **options)
    return count / (time.perf_counter() - start)


def unpack(place):
    target = place.directory / "tree"
    target.mkdir()
    return _timed(place.sizes.tree_files, "tar", "-xf", str(place.scratch / "tree.tar"), "-C", str(target),
                  seconds=place.sizes.limit_seconds)


def remove_tree(place):
    return _timed(place.sizes.tree_files, "rm", "-r", str(place.directory / "tree"), seconds=place.sizes.limit_seconds)


def make_repository(place):
    repository = place.directory / "repository"
    repository.mkdir()
    command(["tar", "-xf", str(place.scratch / "repository.tar"), "-C", str(repository)])


def check_out(place):
    return _timed(place.sizes.tree_files, *GIT, "-C", str(place.directory / "repository"), "checkout", "-q", "-f", "main",
                  seconds=place.sizes.limit_seconds, env=GIT_ENVIRONMENT)


def settle(place):
    """Until no file is as young as the index: git would read such files again and again."""
    time.sleep(1.1)
    _status(place)
    time.sleep(1.1)
    _status(place)


def _status(place):
    start = time.perf_counter()
    out = _git(place.directory / "repository", "status", "--porcelain")
    if out:
        raise Failed(f"git status sees changes where there are none: {out.splitlines()[0]}")
    return place.sizes.tree_files / (time.perf_counter() - start)


def status(place):
    return _status(place)


def remove_repository(place):
    shutil.rmtree(place.directory / "repository")


def _directories(place):
    return max(1, place.sizes.entries // ENTRIES_IN_DIRECTORY)


def make_entries(place):
    top = place.directory / "entries"
    top.mkdir()

    def fill(worker):
        for directory in range(worker, _directories(place), 2):
            os.mkdir(f"{top}/d{directory}")
            for number in range(ENTRIES_IN_DIRECTORY):
                os.close(os.open(f"{top}/d{directory}/an-entry-{number}", os.O_CREAT | os.O_WRONLY, 0o644))

    in_parallel(2, fill)


def list_entries(place):
    entries = _directories(place) * ENTRIES_IN_DIRECTORY
    start = time.perf_counter()
    subprocess.run(["ls", "-lR", str(place.directory / "entries")], stdout=subprocess.DEVNULL, check=True)
    return entries / (time.perf_counter() - start)


def remove_entries(place):
    shutil.rmtree(place.directory / "entries")
