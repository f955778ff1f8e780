"""Rows by real programs: a database that syncs each insert, and a build."""
import os
import shutil
import sqlite3
import time

from processes import command

SOURCES = 60


def insert(place):
    """Transactions of one row each, the rollback journal and the database synced: SQLite's default."""
    path = place.directory / "database"
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("PRAGMA synchronous=FULL")
    database.execute("CREATE TABLE numbers(number INTEGER PRIMARY KEY, text TEXT)")
    inserts, start = 0, time.perf_counter()
    while (seconds := time.perf_counter() - start) < place.sizes.seconds:
        database.execute("INSERT INTO numbers(text) VALUES (?)", ("a row of the database",))
        inserts += 1
    database.close()
    path.unlink()
    return inserts / seconds


def build(place):
    """make -j2 of a program of sixty files."""
    top = place.directory / "program"
    top.mkdir()
    functions = "".join(f"int part%d_{number}(int value) {{ return count(value) * {number}; }}\n" for number in range(20))
    (top / "common.h").write_text("#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n"
                                  "static inline int count(int value) { return value + 1; }\n")
    for number in range(SOURCES):
        (top / f"part{number}.c").write_text('#include "common.h"\n' + functions % ((number,) * 20))
    (top / "main.c").write_text("int main(void) { return 0; }\n")
    (top / "Makefile").write_text("program: $(patsubst %.c,%.o,$(wildcard *.c))\n\t$(CC) -o $@ $^\n")
    start = time.perf_counter()
    command(["make", "-s", "-j2", "-C", str(top)], place.sizes.limit_seconds,
            env={**os.environ, "CC": "/usr/bin/gcc", "MAKEFLAGS": ""})
    seconds = time.perf_counter() - start
    shutil.rmtree(top)
    return (SOURCES + 1) / seconds
