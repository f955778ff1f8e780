"""The file systems that are compared: how each is made and mounted, with the options that its users get.

A Peer's commands are lists in which {backing}, {mountpoint} and {state} (a directory of this mount's own) are replaced.
"""
import dataclasses
import pathlib
import shutil

PASSWORD = "secret"
NULL_SOURCE = pathlib.Path("/usr/share/doc/libfuse3-dev/examples/passthrough_ll.c")


@dataclasses.dataclass(frozen=True)
class Peer:
    name: str
    mount: list | None = None  # None: the backing directory itself
    make: list | None = None
    stdin: str = ""
    environment: dict = dataclasses.field(default_factory=dict)
    needs: str = ""  # the program that must be there
    package: str = ""  # where it comes from

    def missing(self):
        """Why it cannot be measured here; nothing if it can."""
        if not self.needs or shutil.which(self.needs):
            return ""
        return f"{self.name}: there is no {self.needs}" + (f" (apt-get install {self.package})" if self.package else "")


def _kmsfs(name, program, init=(), options=(), mount=()):
    kms = ["--kms", "local:{state}/kms"]
    return Peer(
        name,
        make=[program, "init", *kms, "--seal", "keyfile", *init, "{backing}"],
        mount=[program, "mount", "-o", ",".join(["noguard", *options]), *mount, "{backing}", "{mountpoint}"],
        needs=program,
    )


# Variants of kmsfs: what differs from the default.
VARIANTS = {
    "device": {"options": ["transport=device"]},
    "ring": {"options": ["transport=ring"]},
    "noxattr": {"options": ["noxattr"]},
    "shared": {"mount": ["--shared"]},
    "branch": {"init": ["--mode", "branch"]},
    "openssl": {"mount": ["--backend", "openssl"]},
}


def peer(spec, program, null_program):
    """The peer called `spec`: a name, kmsfs-VARIANT, or either of kmsfs followed by @PROGRAM for another build."""
    name, _, other = spec.partition("@")
    if name == "kmsfs" or name.startswith("kmsfs-"):
        variant = name.partition("-")[2]
        if variant and variant not in VARIANTS:
            raise SystemExit(f"bench: no variant {variant} of kmsfs; there are {', '.join(VARIANTS)}")
        return _kmsfs(spec, str(pathlib.Path(other).resolve()) if other else program, **VARIANTS.get(variant, {}))
    if name.startswith("null"):
        transport = name.partition("-")[2]
        options = [f"transport={transport}"] if transport else []
        return Peer(name, [null_program, "{backing}", "{mountpoint}", *options], needs=null_program)
    known = {
        "raw": Peer("raw"),
        "gocryptfs": Peer(
            "gocryptfs",
            ["gocryptfs", "-q", "-nosyslog", "-passfile", "{state}/password", "{backing}", "{mountpoint}"],
            ["gocryptfs", "-q", "-init", "-scryptn", "10", "-passfile", "{state}/password", "{backing}"],
            needs="gocryptfs", package="gocryptfs",
        ),
        "securefs": Peer(
            "securefs",
            ["securefs", "mount", "-b", "--pass", PASSWORD, "--log", "{state}/securefs.log", "{backing}", "{mountpoint}"],
            ["securefs", "create", "--pass", PASSWORD, "{backing}"],
            needs="securefs", package="securefs",
        ),
        "encfs": Peer("encfs", ["encfs", "--standard", "-S", "{backing}", "{mountpoint}"], stdin=PASSWORD + "\n",
                      needs="encfs", package="encfs"),
        "cryfs": Peer(
            "cryfs", ["cryfs", "{backing}", "{mountpoint}"], stdin=PASSWORD + "\n",
            environment={"CRYFS_FRONTEND": "noninteractive", "CRYFS_NO_UPDATE_CHECK": "true"},
            needs="cryfs", package="cryfs",
        ),
    }
    if name not in known:
        raise SystemExit(f"bench: no peer {name}; there are {', '.join(known)}, null, null-device, null-ring, kmsfs and kmsfs-{{{','.join(VARIANTS)}}}")
    return known[name]
