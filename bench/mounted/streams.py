"""Rows on one large file: streams and random access, by fio."""
import json

from processes import Failed, command

NAME = "bigfile"


def _fio(place, pattern, block, *more, size=None):
    size = size or place.sizes.large_mib << 20
    out = command(["fio", "--name=row", f"--directory={place.directory}", f"--filename={NAME}", f"--rw={pattern}", f"--bs={block}",
                   f"--size={size}", "--ioengine=psync", "--invalidate=0", "--randrepeat=1", "--thread", "--group_reporting",
                   "--output-format=json", *more], seconds=place.sizes.limit_seconds)
    job = json.loads(out[out.index("{"):])["jobs"][0]
    if job["error"]:
        raise Failed(f"fio: error {job['error']}")
    return job


def _bytes_per_second(job):
    """Of reads by the clock of the slowest job; of writes until the closing fsync has returned."""
    if job["write"]["io_bytes"]:
        return job["write"]["io_bytes"] / (job["job_runtime"] / 1000)
    return job["read"]["io_bytes"] / (job["read"]["runtime"] / 1000)


def _mib(job):
    return _bytes_per_second(job) / (1 << 20)


def _blocks(job):
    return _bytes_per_second(job) / 4096


def _bounded(place, part, jobs=1):
    """Reads of so many different blocks; less if the time is up."""
    return [f"--io_size={(place.sizes.large_mib << 20) // part // jobs}", f"--numjobs={jobs}", f"--runtime={place.sizes.seconds}"]


def _for_seconds(place):
    return ["--time_based", f"--runtime={place.sizes.seconds}"]


def write(place):
    return _mib(_fio(place, "write", "1M", "--end_fsync=1"))


def read(place):
    return _mib(_fio(place, "read", "1M"))


def read_by_16(place):
    part = (place.sizes.large_mib << 20) // 16
    return _mib(_fio(place, "read", "256k", "--numjobs=16", f"--offset_increment={part}", size=part))


def read_random(place):
    return _blocks(_fio(place, "randread", "4k", *_bounded(place, 2)))


def read_random_by_4(place):
    return _blocks(_fio(place, "randread", "4k", *_bounded(place, 2, jobs=4)))


def read_mapped(place):
    return _blocks(_fio(place, "randread", "4k", *_bounded(place, 2), "--ioengine=mmap"))


def write_random(place):
    return _blocks(_fio(place, "randwrite", "4k", "--end_fsync=1", *_for_seconds(place)))


def write_and_sync(place):
    return _blocks(_fio(place, "randwrite", "4k", "--fsync=1", *_for_seconds(place)))


def remove(place):
    (place.directory / NAME).unlink()
