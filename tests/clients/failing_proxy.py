"""Between a client and its KMS: a proxy with TLS that passes everything on, until a test tells it what to do instead."""

import contextlib
import datetime
import ipaddress
import select
import socket
import ssl
import struct
import threading
import time

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


class FailingProxy(contextlib.AbstractContextManager):
    """`mode` is one of MODES; a change ends the connections that there are."""

    MODES = ("pass", "stopped", "hang", "slow", "reset", "rubbish", "expired certificate")

    def __init__(self, directory, target):
        self._target = target
        self.bundle = str(directory / "trusted.pem")
        self._contexts = {name: _context(directory, name, days) for name, days in (("sound", 2), ("expired", -1))}
        self._port = 0
        self._lock = threading.Lock()
        self._open = set()
        self._closing = False
        self._listener = None
        self.connections = 0
        self.mode = "pass"
        self._listen()
        self.url = f"https://127.0.0.1:{self._port}"
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()

    def __exit__(self, *_):
        self._closing = True
        self._acceptor.join(10)
        self._end_connections()
        with contextlib.suppress(OSError):
            self._listener.close()

    def set_mode(self, mode):
        assert mode in self.MODES
        self.mode = mode
        if mode == "stopped":
            self._listener.close()
        elif self._listener.fileno() < 0:
            self._listen()
        self._end_connections()

    def _listen(self):
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self._port))
        listener.listen(64)
        self._port = listener.getsockname()[1]
        self._listener = listener

    def _accept(self):
        while not self._closing:
            listener = self._listener
            try:
                if listener.fileno() < 0 or not select.select([listener], [], [], 0.05)[0]:
                    time.sleep(0.01)
                    continue
                client, _ = listener.accept()
            except (OSError, ValueError):
                continue
            self.connections += 1
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        mode = self.mode
        client.settimeout(30)
        if not self._remember(client):
            return
        try:
            if mode == "reset":
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                return
            context = self._contexts["expired" if mode == "expired certificate" else "sound"]
            with context.wrap_socket(client, server_side=True) as secured:
                if not self._remember(secured):
                    return
                try:
                    self._answer(secured, mode)
                finally:
                    self._forget(secured)
        except (OSError, ValueError):
            pass
        finally:
            self._forget(client)
            client.close()

    def _answer(self, client, mode):
        if mode == "hang":
            while self.mode == "hang" and not self._closing and client.recv(4096):
                pass
        elif mode == "rubbish":
            while client.recv(65536):
                client.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 24\r\n\r\n<html>Please log in.</h>")
        else:
            with socket.create_connection(self._target, timeout=30) as server:
                _pump(client, server, 0.2 if mode == "slow" else 0)

    def _remember(self, connection):
        with self._lock:
            self._open.add(connection)
        return not self._closing

    def _forget(self, connection):
        with self._lock:
            self._open.discard(connection)

    def _end_connections(self):
        with self._lock:
            connections, self._open = self._open, set()
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


def _pump(client, server, delay):
    """Request by request: what the client says goes to the server, its answer after `delay` to the client."""
    client.settimeout(0.05)
    while True:
        with contextlib.suppress(TimeoutError):
            said = client.recv(65536)
            if not said:
                return
            server.sendall(said)
        if select.select([server], [], [], 0.05)[0]:
            answer = server.recv(65536)
            if not answer:
                return
            time.sleep(delay)
            client.settimeout(30)
            client.sendall(answer)
            client.settimeout(0.05)


def _context(directory, name, days):
    """A certificate of its own authority, for this host; it is over with `days` below nought."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.timezone.utc)
    certificate = (x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
                   .serial_number(x509.random_serial_number())
                   .not_valid_before(now - datetime.timedelta(days=9)).not_valid_after(now + datetime.timedelta(days=days))
                   .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
                   .sign(key, hashes.SHA256()))
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    secret = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (directory / f"{name}.pem").write_bytes(pem)
    (directory / f"{name}.key").write_bytes(secret)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / f"{name}.pem", directory / f"{name}.key")
    with open(directory / "trusted.pem", "ab") as trusted:
        trusted.write(pem)
    return context
