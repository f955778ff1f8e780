"""The disk below: a tmpfs (what encryption and FUSE cost) or an ext4 on a loop device (what input and output add)."""
import contextlib
import os
import pathlib
import tempfile

from processes import command

SIZE = "10g"  # at most; only what is used is taken


@contextlib.contextmanager
def backing(kind, directory):
    """A fresh file system, mounted for this run alone; yields its directory."""
    with tempfile.TemporaryDirectory(prefix="kmsfs-bench-", dir=directory) as top:
        place = pathlib.Path(top) / "disk"
        place.mkdir()
        if kind == "tmpfs":
            command(["mount", "-t", "tmpfs", "-o", f"size={SIZE},mode=700", "none", str(place)])
        else:
            image = pathlib.Path(top) / "image"
            command(["truncate", "-s", SIZE, str(image)])
            command(["mkfs.ext4", "-q", "-F", str(image)])
            command(["mount", "-o", "loop", str(image), str(place)])
        try:
            yield place
        finally:
            os.sync()
            command(["umount", str(place)])
