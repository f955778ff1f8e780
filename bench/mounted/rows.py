"""Which rows there are and in which order they run. A row's function takes a Place and gives a rate: higher is better."""
import dataclasses
from collections.abc import Callable

import programs
import small_files
import streams
import trees


@dataclasses.dataclass(frozen=True)
class Sizes:
    large_mib: int = 256  # the large file
    files: int = 3000  # of 4 KiB
    tree_files: int = 20_000  # of what tar unpacks and git checks out
    entries: int = 100_000  # that ls lists
    seconds: int = 2  # of rows that run for a time
    limit_seconds: int = 120  # of one step; what takes longer is left out

    @staticmethod
    def short():
        return Sizes(large_mib=64, files=600, tree_files=1500, entries=5000, seconds=1, limit_seconds=20)


@dataclasses.dataclass(frozen=True)
class Step:
    run: Callable
    row: str = ""  # its name and unit; without one the step only prepares
    cold: bool = False  # mounted anew before


@dataclasses.dataclass(frozen=True)
class Scene:
    """Steps that need each other: when one of them fails, the rest is left out."""
    steps: list
    once: bool = False  # in the first round only, its rows as often as there are rounds


SCENES = [
    Scene([
        Step(streams.write, "sequential write, MiB/s"),
        Step(streams.read, "sequential read, cold, MiB/s", cold=True),
        Step(streams.read, "sequential read, warm, MiB/s"),
        Step(streams.read_by_16, "16 readers, cold, MiB/s", cold=True),
        Step(streams.read_random, "random read 4 KiB, cold, /s", cold=True),
        Step(streams.read_random_by_4, "random read 4 KiB, 4 threads, cold, /s", cold=True),
        Step(streams.read_mapped, "random read by mmap, cold, /s", cold=True),
        Step(streams.write_random, "random write 4 KiB, /s", cold=True),
        Step(streams.write_and_sync, "write 4 KiB + fsync, /s"),
        Step(streams.remove),
    ]),
    Scene([
        Step(small_files.make_directories),
        Step(small_files.create, "create 4 KiB files, /s"),
        Step(small_files.stat, "stat, cold, /s", cold=True),
        Step(small_files.read, "read 4 KiB files, cold, /s", cold=True),
        Step(small_files.unlink, "unlink, /s"),
        Step(small_files.make_directories),
        Step(small_files.create_by_4, "create by 4 processes, /s"),
        Step(small_files.read_by_4, "read 4 KiB files by 4 processes, cold, /s", cold=True),
        Step(small_files.remove),
    ]),
    Scene([
        Step(trees.unpack, "untar, files/s"),
        Step(trees.remove_tree, "rm -r, files/s"),
    ]),
    Scene([
        Step(trees.make_repository),
        Step(trees.check_out, "git checkout, files/s"),
        Step(trees.settle),
        Step(trees.status, "git status, cold, files/s", cold=True),
        Step(trees.status, "git status, warm, files/s"),
        Step(trees.remove_repository),
    ]),
    Scene([Step(programs.insert, "sqlite inserts, each synced, /s")]),
    Scene([Step(programs.build, "make -j2, files/s")]),
    Scene([
        Step(trees.make_entries),
        Step(trees.list_entries, "ls -lR, cold, entries/s", cold=True),
        Step(trees.remove_entries),
    ], once=True),
]

NAMES = [step.row for scene in SCENES for step in scene.steps if step.row]


def chosen(texts):
    """The scenes with a row whose name contains one of the texts, and of them all steps."""
    return [scene for scene in SCENES if any(text in step.row for step in scene.steps if step.row for text in texts)]
