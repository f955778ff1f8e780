#!/usr/bin/python3
"""Programs at work on one volume through two mounts at once; ends with 0 if everything that docs/SHARING.md promises held.

    shared_load.py WORK MOUNT_A MOUNT_B [PID_OF_A]

WORK names one of the functions at the end. Every wait has a limit.
"""

import errno
import fcntl
import mmap
import os
import random
import signal
import sqlite3
import struct
import subprocess
import sys
import time

SECONDS = int(os.environ.get("LOAD_SECONDS", "2"))
LIMIT = 40  # for anything to happen
FIRST_BLOCK, BLOCK = 3032, 4056  # plain bytes, with a header of 1024
RECORD = 104  # 39 of them in a block
RECORDS = 39 * 6


def in_processes(works):
    """Runs each in a process of its own; all must succeed."""
    children = []
    for work in works:
        pid = os.fork()
        if pid == 0:
            signal.alarm(LIMIT)
            try:
                work()
            except BaseException as problem:  # pylint: disable=broad-except
                print(f"{work}: {type(problem).__name__}: {problem}", flush=True)
                os._exit(1)
            os._exit(0)
        children.append(pid)
    return all([os.waitpid(pid, 0)[1] == 0 for pid in children])


def until(ends):
    while time.monotonic() < ends:
        yield


def eventually(condition):
    for _ in until(time.monotonic() + LIMIT):
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError(f"not within {LIMIT} s: {condition}")


def read_at(path, offset, size, flags=0):
    file = os.open(path, os.O_RDONLY | flags)
    try:
        return os.pread(file, size, offset)
    finally:
        os.close(file)


def block_at(index):
    return FIRST_BLOCK + BLOCK * index


def record_of(writer, version):
    return struct.pack("<HHI", writer, 0xabcd, version) * (RECORD // 8)


# Every writer has records of its own, which share blocks with those of others, and writes them in any order.
def write_records(path, writer, writers, ends, seed):
    dice = random.Random(seed)
    mine = range(writer, RECORDS, writers)
    last = {}
    with open(path, "r+b", buffering=0) as file:
        version = 0
        for _ in until(ends):
            version += 1
            index = dice.choice(mine)
            os.pwrite(file.fileno(), record_of(writer, version), FIRST_BLOCK + RECORD * index)
            last[index] = version
    with open(path, "rb") as file:
        for index, version in last.items():
            found = os.pread(file.fileno(), RECORD, FIRST_BLOCK + RECORD * index)
            assert found == record_of(writer, version), f"record {index} of writer {writer} is not its version {version}"


# With O_DIRECT, past the kernel's cache: its pages are not our blocks, and come from different moments.
def check_records(path, writers, flags=0):
    content = read_at(path, 0, 1 << 20, flags)
    assert len(content) == FIRST_BLOCK + RECORD * RECORDS, len(content)
    for index in range(RECORDS):
        record = content[FIRST_BLOCK + RECORD * index:][:RECORD]
        writer, mark, version = struct.unpack("<HHI", record[:8])
        assert record in (bytes(RECORD), record_of(writer, version)), f"record {index} is a mixture"
        assert mark == 0 or writer == index % writers, f"record {index} holds what writer {writer} wrote"


def read_records(path, writers, ends):
    for _ in until(ends):
        check_records(path, writers, os.O_DIRECT)


def make_records(mount):
    with open(f"{mount}/records", "wb") as file:
        file.write(bytes(FIRST_BLOCK + RECORD * RECORDS))
    return "records"


# Both write whole blocks over each other: a block is always all of one write.
def overwrite_blocks(path, ends, seed):
    dice = random.Random(seed)
    with open(path, "r+b", buffering=0) as file:
        for _ in until(ends):
            count = dice.randint(1, 3)
            at = dice.randrange(8 - count)
            os.pwrite(file.fileno(), bytes([dice.randrange(256)]) * (BLOCK * count), block_at(at))


def read_blocks(path, ends, flags=0):
    for _ in until(ends):
        for index in range(8):
            block = read_at(path, block_at(index), BLOCK, flags)
            assert len(set(block)) == 1 and len(block) == BLOCK, f"block {index} mixes {set(block)}"


# Grow, cut and punch, against readers: what is read was written, or zeros.
def change_size(path, ends, seed):
    dice = random.Random(seed)
    with open(path, "r+b", buffering=0) as file:
        for _ in until(ends):
            what = dice.randrange(3)
            if what == 0:
                os.ftruncate(file.fileno(), dice.randrange(60000))
            elif what == 1:
                os.pwrite(file.fileno(), b"x" * dice.randrange(1, 9000), dice.randrange(50000))
            else:
                subprocess.run(["fallocate", "-p", "-o", str(dice.randrange(50000)), "-l", "9000", path], check=False, timeout=LIMIT,
                               stderr=subprocess.DEVNULL)


def read_any(path, ends):
    for _ in until(ends):
        with open(path, "rb") as file:
            assert set(file.read()) <= {0, ord("x")}


def append(path, writer, count):
    dice = random.Random(writer)
    with open(path, "ab", buffering=0) as file:
        for number in range(count):
            body = bytes([65 + writer]) * dice.randrange(1, 5000)
            os.write(file.fileno(), struct.pack("<HHI", writer, len(body), number) + body)


def count_up(path, lock, count):
    with open(path, "r+b", buffering=0) as file:
        for _ in range(count):
            lock(file, fcntl.LOCK_EX)
            value = int(os.pread(file.fileno(), 20, 0))
            os.pwrite(file.fileno(), b"%020d" % (value + 1), 0)
            lock(file, fcntl.LOCK_UN)


def change_names(mount, ends, seed, names):
    dice = random.Random(seed)
    expected = {errno.ENOENT, errno.EEXIST, errno.ESTALE, errno.ENOTEMPTY, errno.EISDIR, errno.ENOTDIR, errno.EBUSY}
    for _ in until(ends):
        name, other = (f"{mount}/names/{dice.choice(names)}" for _ in range(2))
        try:
            what = dice.randrange(7)
            if what < 3:
                with open(name, "wb") as file:
                    file.write(b"whole" * 1000)
            elif what == 3:
                os.rename(name, other)
            elif what == 4:
                os.unlink(name)
            elif what == 5:
                os.mkdir(name + ".d")
            else:
                os.rmdir(name + ".d")
        except OSError as problem:
            assert problem.errno in expected, problem


def runs(content):
    """Where zeros begin and end, for whoever has to find out why."""
    edges = [at for at in range(1, len(content)) if (content[at] == 0) != (content[at - 1] == 0)]
    return edges[:10]


def read_names(mount, ends):
    for _ in until(ends):
        for name in os.listdir(f"{mount}/names"):
            assert not name.startswith(".kmsfs"), name
            try:
                with open(f"{mount}/names/{name}", "rb") as file:
                    content = file.read()
            except OSError as problem:
                assert problem.errno in (errno.ENOENT, errno.EISDIR, errno.ESTALE), problem
                continue
            if content not in (b"", b"whole" * 1000):
                raise AssertionError(f"{name}: {len(content)} bytes, {content.count(0)} of them zero: {runs(content)}")


def works_records(a, b):
    name = make_records(a)
    ends = time.monotonic() + SECONDS
    works = [lambda m=m, w=w: write_records(f"{m}/{name}", w, 4, ends, w) for w, m in enumerate((a, b, a, b))]
    works += [lambda m=m: read_records(f"{m}/{name}", 4, ends) for m in (a, b)]
    assert in_processes(works)
    for mount in (a, b):
        check_records(f"{mount}/{name}", 4)


def works_blocks(a, b):
    with open(f"{a}/blocks", "wb") as file:
        file.write(b"\1" * block_at(8))
    ends = time.monotonic() + SECONDS
    works = [lambda m=m, s=s: overwrite_blocks(f"{m}/blocks", ends, s) for s, m in enumerate((a, b))]
    works += [lambda m=m: read_blocks(f"{m}/blocks", ends, os.O_DIRECT) for m in (a, b)]
    assert in_processes(works)
    for mount in (a, b):
        read_blocks(f"{mount}/blocks", time.monotonic() + 0.05)


def works_sizes(a, b):
    with open(f"{a}/sizes", "wb"):
        pass
    ends = time.monotonic() + SECONDS
    works = [lambda m=m, s=s: change_size(f"{m}/sizes", ends, s) for s, m in enumerate((a, b))]
    works += [lambda m=m: read_any(f"{m}/sizes", ends) for m in (a, b)]
    assert in_processes(works)
    contents = [open(f"{mount}/sizes", "rb").read() for mount in (a, b)]
    assert contents[0] == contents[1]


def works_appenders(a, b):
    count = 150
    with open(f"{a}/log", "wb"):
        pass
    assert in_processes([lambda m=m, w=w: append(f"{m}/log", w, count) for w, m in enumerate((a, b, a, b))])
    for mount in (a, b):
        with open(f"{mount}/log", "rb") as file:
            content = file.read()
        at, seen = 0, [0] * 4
        while at < len(content):
            writer, size, number = struct.unpack("<HHI", content[at:at + 8])
            assert content[at + 8:at + 8 + size] == bytes([65 + writer]) * size, f"a record at {at} is not whole"
            assert number == seen[writer], f"record {seen[writer]} of writer {writer} is lost"
            seen[writer] += 1
            at += 8 + size
        assert seen == [count] * 4, seen


def works_locks(a, b):
    for name, lock in (("fcntl", fcntl.lockf), ("flock", fcntl.flock)):
        with open(f"{a}/{name}", "wb") as file:
            file.write(b"%020d" % 0)
        assert in_processes([lambda m=m: count_up(f"{m}/{name}", lock, 60) for m in (a, b, a, b)])
        with open(f"{b}/{name}", "rb") as file:
            assert int(file.read()) == 240, "two held the lock together"
        with open(f"{a}/{name}", "r+b") as held, open(f"{b}/{name}", "r+b") as other:
            lock(held, fcntl.LOCK_EX)
            for work in (lambda: lock(other, fcntl.LOCK_EX | fcntl.LOCK_NB), lambda: lock(other, fcntl.LOCK_SH | fcntl.LOCK_NB)):
                try:
                    work()
                    raise AssertionError(f"{name}: two mounts hold the lock")
                except BlockingIOError:
                    pass
            interrupted(lambda: lock(other, fcntl.LOCK_EX))
            lock(held, fcntl.LOCK_SH)
            lock(other, fcntl.LOCK_SH)
            lock(held, fcntl.LOCK_UN)
            lock(other, fcntl.LOCK_EX)
    ranges(a, b)


# A signal ends the wait for a lock, and what the mount does otherwise goes on meanwhile.
def interrupted(wait):
    class Woken(Exception):
        pass

    def wake(*_):
        raise Woken

    signal.signal(signal.SIGALRM, wake)
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    try:
        wait()
        raise AssertionError("the lock was taken")
    except Woken:
        pass
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)


def ranges(a, b):
    with open(f"{a}/fcntl", "r+b") as first, open(f"{b}/fcntl", "r+b") as second:
        fcntl.lockf(first, fcntl.LOCK_EX, 100, 1000)
        fcntl.lockf(second, fcntl.LOCK_EX | fcntl.LOCK_NB, 900, 100)
        fcntl.lockf(second, fcntl.LOCK_EX | fcntl.LOCK_NB, 0, 1100)  # to the end
        asked = struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 0, 0)
        kind, _, start, length, _ = struct.unpack("hhqqi4x", fcntl.fcntl(second, fcntl.F_GETLK, asked))
        assert (kind, start, length) == (fcntl.F_WRLCK, 1000, 100), (kind, start, length)
        # Closing any descriptor of the file frees the process's locks.
        with open(f"{a}/fcntl", "rb"):
            pass
        fcntl.lockf(second, fcntl.LOCK_EX | fcntl.LOCK_NB)


def works_names(a, b):
    os.mkdir(f"{a}/names")
    names = [f"{letter}{'x' * long}" for letter in "abc" for long in (3, 220)]
    ends = time.monotonic() + SECONDS
    works = [lambda m=m, s=s: change_names(m, ends, s, names) for s, m in enumerate((a, b))]
    works += [lambda m=m: read_names(m, ends) for m in (a, b)]
    assert in_processes(works)
    assert sorted(os.listdir(f"{a}/names")) == sorted(os.listdir(f"{b}/names"))
    for mount in (a, b):
        read_names(mount, time.monotonic() + 0.05)
    subprocess.run(["rm", "-r", f"{b}/names"], check=True, timeout=LIMIT)
    assert not os.path.exists(f"{a}/names")


def works_open_close(a, b):
    for number in range(40):
        writer, reader = (a, b) if number % 2 == 0 else (b, a)
        text = f"version {number} ".encode() * (number * 40 + 1)
        with open(f"{writer}/page", "wb") as file:
            file.write(text)
        with open(f"{reader}/page", "rb") as file:
            assert file.read() == text, f"version {number} is not seen by the next open of the other mount"
    with open(f"{a}/page", "r+b", buffering=0) as file, open(f"{b}/page", "rb", buffering=0) as other:
        file.write(b"synced")
        os.fsync(file.fileno())
        assert open(f"{b}/page", "rb").read(6) == b"synced"
        os.unlink(f"{b}/page")  # open files stay, whoever takes the name away
        assert os.pread(file.fileno(), 6, 0) == b"synced" == os.pread(other.fileno(), 6, 0)
        assert os.fstat(file.fileno()).st_nlink == 0
        os.pwrite(file.fileno(), b"SYNCED", 0)
    assert not os.path.exists(f"{a}/page")
    with open(f"{a}/mapped", "w+b") as file:
        file.truncate(10000)
        with mmap.mmap(file.fileno(), 10000) as mapped:
            mapped[5000:5006] = b"mapped"
    with open(f"{b}/mapped", "rb") as file:
        assert file.read() == bytes(5000) + b"mapped" + bytes(4994)


def insert(path, writer, count):
    database = sqlite3.connect(path, timeout=LIMIT, isolation_level=None)
    for number in range(count):
        database.execute("begin immediate")
        total, = database.execute("select count(*) from rows").fetchone()
        database.execute("insert into rows values (?, ?, ?, ?)", (total, writer, number, "x" * (number * 37 % 3000)))
        database.execute("commit")
    database.close()


# Reads, writes, appends, cuts and locks as programs do it that trust a file system.
def works_database(a, b):
    count = 25
    database = sqlite3.connect(f"{a}/database")
    database.execute("create table rows (total integer primary key, writer, number, text)")
    database.close()
    assert in_processes([lambda m=m, w=w: insert(f"{m}/database", w, count) for w, m in enumerate((a, b, a, b))])
    for mount in (a, b):
        database = sqlite3.connect(f"{mount}/database")
        assert database.execute("pragma integrity_check").fetchone() == ("ok",)
        assert database.execute("select count(*), max(total) from rows").fetchone() == (4 * count, 4 * count - 1)
        database.close()


# The server of A dies in the middle of writes and with locks held.
def works_kill(a, b, pid):
    name = make_records(b)
    with open(f"{b}/log", "wb"), open(f"{b}/sizes", "wb") as sizes, open(f"{b}/held", "wb"):
        sizes.write(b"x" * 5000)

    def die_with_mount(work):
        try:
            work()
        except OSError as problem:
            assert problem.errno in (errno.ENOTCONN, errno.ECONNABORTED, errno.EIO, errno.ENODEV, errno.EINTR), problem
            return
        raise AssertionError("the mount lives")

    def hold():
        with open(f"{a}/held", "r+b") as file:
            fcntl.lockf(file, fcntl.LOCK_EX)
            fcntl.flock(file, fcntl.LOCK_EX)
            open(f"{b}/holds", "wb").close()
            signal.pause()

    def wait():  # for a lock that the dead held
        with open(f"{b}/held", "r+b") as file:
            fcntl.lockf(file, fcntl.LOCK_EX)
            fcntl.flock(file, fcntl.LOCK_EX)

    holder = os.fork()
    if holder == 0:
        signal.alarm(LIMIT)
        hold()
        os._exit(0)
    eventually(lambda: os.path.exists(f"{b}/holds"))
    long = time.monotonic() + LIMIT / 2

    def kill():
        time.sleep(1)  # of load
        os.kill(pid, signal.SIGKILL)

    ends = time.monotonic() + 3
    assert in_processes([
        kill, wait,
        lambda: die_with_mount(lambda: write_records(f"{a}/{name}", 0, 2, long, 0)),
        lambda: die_with_mount(lambda: append(f"{a}/log", 0, 10**6)),
        lambda: die_with_mount(lambda: change_size(f"{a}/sizes", long, 1)),
        lambda: write_records(f"{b}/{name}", 1, 2, ends, 1), lambda: read_records(f"{b}/{name}", 2, ends),
        lambda: change_size(f"{b}/sizes", ends, 2), lambda: read_any(f"{b}/sizes", ends),
    ])
    os.kill(holder, signal.SIGKILL)
    os.waitpid(holder, 0)
    check_records(f"{b}/{name}", 2)
    read_any(f"{b}/sizes", time.monotonic() + 0.05)
    append(f"{b}/log", 0, 1)
    with open(f"{b}/log", "rb") as file:
        assert set(file.read()[8:9]) <= {65}


if __name__ == "__main__":
    work = globals()["works_" + sys.argv[1]]
    work(sys.argv[2], sys.argv[3], *map(int, sys.argv[4:]))
