"""Rows on many files of 4 KiB in thirty directories."""
import os
import shutil
import time

from processes import Failed, in_parallel

DIRECTORIES = 30
CONTENT = bytes(range(256)) * 16


def _tree(place):
    return str(place.directory / "small")


def _path(tree, number):
    return f"{tree}/d{number % DIRECTORIES}/f{number}"


def _rate(count, work):
    start = time.perf_counter()
    work()
    return count / (time.perf_counter() - start)


def make_directories(place):
    os.mkdir(_tree(place))
    for number in range(DIRECTORIES):
        os.mkdir(f"{_tree(place)}/d{number}")


def create_each(paths, content):
    for path in paths:
        file = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o644)
        os.write(file, content)
        os.close(file)


def read_each(paths, content):
    for path in paths:
        file = os.open(path, os.O_RDONLY)
        found = os.read(file, 8192)
        os.close(file)
        if found != content:
            raise Failed(f"{path} reads wrong")


def _create(tree, numbers):
    create_each((_path(tree, number) for number in numbers), CONTENT)


def _read(tree, numbers):
    read_each((_path(tree, number) for number in numbers), CONTENT)


def _stat(tree):
    for number in range(DIRECTORIES):
        with os.scandir(f"{tree}/d{number}") as entries:
            for entry in entries:
                os.stat(entry.path)


def create(place):
    return _rate(place.sizes.files, lambda: _create(_tree(place), range(place.sizes.files)))


def stat(place):
    return _rate(place.sizes.files, lambda: _stat(_tree(place)))


def read(place):
    return _rate(place.sizes.files, lambda: _read(_tree(place), range(place.sizes.files)))


def unlink(place):
    return _rate(place.sizes.files, lambda: shutil.rmtree(_tree(place)))


def create_by_4(place):
    files = place.sizes.files
    return files / in_parallel(4, lambda worker: _create(_tree(place), range(worker, files, 4)))


def read_by_4(place):
    files = place.sizes.files
    return files / in_parallel(4, lambda worker: _read(_tree(place), range(worker, files, 4)))


def remove(place):
    shutil.rmtree(_tree(place))
