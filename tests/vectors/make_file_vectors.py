#!/usr/bin/env python3
"""Writes the vectors of files from docs/FORMAT.md alone: a second implementation, which shares no code with kmsfs.

Needs python3-cryptography. Run in this directory; the vectors that it wrote for version 1 never change.
"""
import hashlib
import hmac
import struct

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

PAGE = 4096
DATA_KEY = bytes(range(32))
VOLUME_ID = bytes(range(0x10, 0x20))
FILE_ID = bytes(range(0x30, 0x40))
SALT = bytes(range(0x50, 0x70))
NONCE = bytes(range(0x40, 0x58))
ARN = b"arn:aws:kms:local-1:111122223333:key/00000000-0000-4000-8000-00000000000a"
WRAPPED = bytes(range(0xA0, 0xC0))
BRANCH_KEY = bytes(range(0xC0, 0xE0))
BRANCH_ID = bytes(range(0xE0, 0xF0))
SEAL_SALT = bytes(range(0xF0, 0x100))


def hkdf(key, salt, info):
    pseudo_random_key = hmac.digest(salt, key, "sha256")
    return hmac.digest(pseudo_random_key, info + b"\x01", "sha256")


def derive(label, volume_id=VOLUME_ID, file_id=FILE_ID):
    return hkdf(DATA_KEY, SALT, label + struct.pack(">H", 1) + volume_id + file_id)


CONTENT_KEY = derive(b"kmsfs file content")
HEADER_KEY = derive(b"kmsfs file header")
COMMITMENT = derive(b"kmsfs file commitment")


def aes(key, block):
    encryptor = Cipher(algorithms.AES(key), modes.ECB()).encryptor()
    return encryptor.update(block) + encryptor.finalize()


def xaes_seal(key, nonce, additional, plain):
    first = int.from_bytes(aes(key, bytes(16)), "big") << 1
    if first >> 128:
        first = (first ^ 0x87) & ((1 << 128) - 1)
    subkey = first.to_bytes(16, "big")
    derived = b""
    for counter in (1, 2):
        message = bytes([0, counter]) + b"X\x00" + nonce[:12]
        derived += aes(key, bytes(a ^ b for a, b in zip(message, subkey)))
    return nonce + AESGCM(derived).encrypt(nonce[12:], plain, additional)


def block(index, plain, header_size, file_id=FILE_ID):
    size = 4056 - (header_size if index == 0 else 0)
    nonce = NONCE[:23] + bytes([(NONCE[23] + index) % 256])
    additional = struct.pack(">H", 1) + VOLUME_ID + file_id + struct.pack(">Q", index)
    return xaes_seal(CONTENT_KEY, nonce, additional, plain.ljust(size, b"\0"))


def slot(sequence, flags, size):
    fields = struct.pack(">QIIQ", sequence, flags, 0, size) + bytes(456)
    return fields + hmac.digest(HEADER_KEY, b"kmsfs state slot" + fields, "sha256")


BRANCH_MEANING = b"kmsfs branch" + struct.pack(">H", 1) + VOLUME_ID + BRANCH_ID + FILE_ID
SEAL_KEY = hkdf(BRANCH_KEY, SEAL_SALT, BRANCH_MEANING)
SEALED = AESGCM(SEAL_KEY).encrypt(bytes(12), DATA_KEY, BRANCH_MEANING)


def key_section(sealed):
    sizes = struct.pack(">HH", len(ARN), len(WRAPPED))
    if sealed is None:
        return struct.pack(">H", 1) + sizes + ARN + WRAPPED
    return struct.pack(">H", 2) + sizes + BRANCH_ID + SEAL_SALT + sealed + ARN + WRAPPED


def header(header_size, state, version=1, commitment=COMMITMENT, sealed=None):
    fields = b"kmsfs\x1a\n\0" + struct.pack(">HHIII", version, 1, header_size, 0, 0)
    fields += VOLUME_ID + FILE_ID + SALT + commitment
    fields += hmac.digest(HEADER_KEY, fields, "sha256")
    fields += key_section(sealed)
    return fields.ljust(header_size - 512, b"\0") + state


def plain_bytes(size):
    return bytes((7 * i + i // 251) % 256 for i in range(size))


def file(header_size, size, flags=1, holes=(), state=None, **fields):
    first = 4056 - header_size
    plain = bytearray(plain_bytes(size))
    pages, offset, index, last = b"", 0, 0, 0
    while index == 0 or offset < size:
        length = first if index == 0 else 4056
        last = min(length, size - offset)
        if index in holes:
            plain[offset:offset + last] = bytes(last)
            pages += bytes(PAGE)
        else:
            pages += block(index, bytes(plain[offset:offset + last]), header_size)
        offset, index = offset + last, index + 1
    if size == 0:
        pages = bytes(len(pages))
    state = state or slot(2, flags, size if flags & 1 else 0)
    return header(header_size, state, **fields) + pages + bytes(last), bytes(plain)


def write(name, what, expect, backing, header_size, plain=None, **derived):
    with open(f"file_{name}.txt", "w") as out:
        out.write(f"# {what}\nexpect = {expect}\nheader_size = {header_size}\n")
        if "branch_key" not in derived:  # otherwise it is opened under the branch key
            out.write(f"data_key = {DATA_KEY.hex()}\n")
        out.write(f"volume_id = {VOLUME_ID.hex()}\n")
        for key, value in derived.items():
            out.write(f"{key} = {value.hex()}\n")
        if plain is not None:
            out.write(f"plain_size = {len(plain)}\nplain_sha256 = {hashlib.sha256(plain).hexdigest()}\n")
        out.write(f"backing_size = {len(backing)}\n")
        for at in range(0, len(backing), 64):  # lines of zeros are left out
            line = backing[at:at + 64]
            if any(line):
                out.write(f"at {at} = {line.hex()}\n")


def flipped(backing, at):
    return backing[:at] + bytes([backing[at] ^ 1]) + backing[at + 1:]


def main():
    backing, plain = file(1024, 16)
    write("one_block", "16 bytes, clean; the sample of docs/FORMAT.md", "ok", backing, 1024, plain,
          content_key=CONTENT_KEY, header_key=HEADER_KEY, commitment=COMMITMENT)
    backing, plain = file(1024, 5000)
    write("two_blocks", "5000 bytes, clean", "ok", backing, 1024, plain)
    write("cut", "the tail of a clean file is one byte shorter", "corrupt", backing[:-1], 1024)
    backing, plain = file(3584, 0)
    write("empty", "a clean empty file, block 0 never written", "ok", backing, 3584, plain)
    backing, plain = file(3584, 472 + 4056 + 100, flags=3, holes=(1,))
    write("hole", "sparse, block 1 is a hole", "ok", backing, 3584, plain)
    backing, _ = file(3584, 472 + 100, holes=(1,))
    write("zeroed", "not sparse, block 1 is zeros", "corrupt", backing, 3584)
    backing, plain = file(3584, 400, flags=0)
    write("not_clean", "a writer is at work: the backing size tells", "ok", backing, 3584, plain)
    backing, _ = file(3584, 400)
    write("flipped_block", "a bit of block 0's ciphertext", "corrupt", flipped(backing, 3700), 3584)
    write("flipped_salt", "a bit of the salt", "corrupt", flipped(backing, 60), 3584)
    write("flipped_slot", "a bit of the plain size in the slot", "corrupt", flipped(backing, 3584 - 512 + 23), 3584)
    backing, _ = file(3584, 400, version=2)
    write("newer", "format version 2", "unsupported", backing, 3584)
    backing, _ = file(3584, 400, commitment=bytes(32))
    write("commitment", "all right but for the commitment", "corrupt", backing, 3584)
    backing, _ = file(3584, 400, state=slot(2, 1, 399))
    write("other_size", "clean, and tells another size", "corrupt", backing, 3584)
    backing, plain = file(1024, 16, sealed=SEALED)
    write("branch", "16 bytes, clean, the data key sealed by a branch key; the sample of docs/FORMAT.md", "ok", backing, 1024, plain,
          branch_key=BRANCH_KEY, seal_key=SEAL_KEY)
    for name, what, at in (("branch_id", "the branch id", 158), ("branch_salt", "the salt of the seal", 174),
                           ("branch_sealed", "the sealed data key", 190), ("branch_tag", "its tag", 237)):
        write(name, f"a bit of {what}", "corrupt", flipped(backing, at), 1024, branch_key=BRANCH_KEY)
    backing, _ = file(3584, 400, state=slot(2, 5, 400))
    write("slot_flag", "a flag of the slot that version 1 does not know", "unsupported", backing, 3584)


main()
