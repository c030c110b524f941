"""nginx and haproxy in front of `breakeven serve`, with requests that two readers may understand in two ways: what the server answers is what the
client is given, reply for reply, and nobody is given another one's. Usage: proxies_test.py BREAKEVEN SOURCE_DIR
"""
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import unittest

BREAKEVEN, SOURCE = sys.argv[1], pathlib.Path(sys.argv[2])
del sys.argv[2]
sys.path.insert(0, str(SOURCE / "tests/cli"))
from serve_test import Server  # noqa: E402

PATHS = os.environ["PATH"] + ":/usr/sbin:/usr/local/sbin"
HIDDEN = b"GET /livez HTTP/1.1\r\nHost: a\r\nX-Request-Id: hidden\r\n\r\n"
NGINX = """daemon off; pid {folder}/pid; error_log {folder}/log; events {{}}
http {{ access_log off; client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder}; uwsgi_temp_path {folder};
scgi_temp_path {folder}; upstream s {{ server {server}; keepalive 4; }}
server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://s; proxy_http_version 1.1; proxy_set_header Connection "";
proxy_next_upstream off; proxy_request_buffering off; proxy_ignore_client_abort on; }} }} }}
"""
HAPROXY = """defaults
 mode http
 timeout client 60s
 timeout server 60s
 timeout connect 5s
 retries 0
 option http-keep-alive
frontend f
 bind 127.0.0.1:{port}
 default_backend b
backend b
 http-reuse always
 server s {server}
"""


def request(fields=b"", body=b"", line=b"POST /null HTTP/1.1", host=b"Host: a\r\n"):
    return line + b"\r\n" + host + b"X-Request-Id: outer\r\n" + fields + b"\r\n" + body


def length(count):
    return b"Content-Length: %d\r\n" % count


CHUNKED, END = b"Transfer-Encoding: chunked\r\n", b"0\r\n\r\n"
AMBIGUOUS = {
    "plain": request(length(2), b"{}"),
    "three in a row": 3 * request(length(2), b"{}"),
    "length and chunks": request(length(len(END + HIDDEN)) + CHUNKED, END + HIDDEN),
    "chunks and length": request(CHUNKED + length(4), b"%x\r\n%s\r\n0\r\n\r\n" % (len(HIDDEN), HIDDEN)),
    "two lengths": request(length(0) + length(len(HIDDEN)), HIDDEN),
    "one length twice": request(length(2) + length(2), b"{}"),
    "length as a list": request(b"Content-Length: 2, 2\r\n", b"{}"),
    "length with a sign": request(b"Content-Length: +2\r\n", b"{}"),
    "length below zero": request(b"Content-Length: -1\r\n", HIDDEN),
    "length in hex": request(b"Content-Length: 0x2\r\n", b"{}"),
    "length with a blank before the colon": request(b"Content-Length : %d\r\n" % len(HIDDEN), HIDDEN),
    "length beyond 64 bits": request(b"Content-Length: 18446744073709551618\r\n", b"{}"),
    "chunked with a tab": request(b"Transfer-Encoding:\tchunked\r\n" + length(4), END + HIDDEN),
    "chunked with a form feed": request(b"Transfer-Encoding: \x0cchunked\r\n" + length(len(END)), END),
    "chunked over two lines": request(b"Transfer-Encoding:\r\n chunked\r\n", END),
    "chunked with a blank before the colon": request(b"Transfer-Encoding : chunked\r\n" + length(len(END + HIDDEN)), END + HIDDEN),
    "almost chunked": request(b"Transfer-Encoding: xchunked\r\n" + length(len(END)), END),
    "chunked and identity": request(b"Transfer-Encoding: chunked, identity\r\n", END + HIDDEN),
    "chunked twice": request(CHUNKED + CHUNKED, END + HIDDEN),
    "chunked then something": request(CHUNKED + b"Transfer-Encoding: x\r\n", END + HIDDEN),
    "chunked in HTTP/1.0": request(CHUNKED, END + HIDDEN, b"POST /null HTTP/1.0"),
    "chunk with an extension": request(CHUNKED, b"2;a=\"\r\n\"\r\n{}\r\n0\r\n\r\n"),
    "chunk with an extension of a line feed": request(CHUNKED, b"2;\n{}\r\n0\r\n\r\n"),
    "chunk with a trailer": request(CHUNKED, b"2\r\n{}\r\n0\r\nContent-Length: 50\r\n\r\n"),
    "chunk size beyond 64 bits": request(CHUNKED, b"10000000000000002\r\n{}\r\n0\r\n\r\n"),
    "chunk size with zeros": request(CHUNKED, b"00000000000000000000002\r\n{}\r\n0\r\n\r\n"),
    "chunk lines that end in a line feed": request(CHUNKED, b"2\n{}\n0\n\n"),
    "lines that end in a line feed": request(length(2), b"{}").replace(b"\r\n", b"\n"),
    "a bare carriage return": request(b"A: b\rContent-Length: 5\r\n", HIDDEN),
    "a zero byte": request(b"A: \0\r\n" + length(2), b"{}"),
    "a field over two lines": request(b"A: b\r\n Content-Length: 5\r\n"),
    "get with a body": request(length(len(HIDDEN)), HIDDEN, b"GET /livez HTTP/1.1"),
    "head with a body": request(length(len(HIDDEN)), HIDDEN, b"HEAD /livez HTTP/1.1"),
    "head of what takes post": request(b"", b"", b"HEAD /null HTTP/1.1"),
    "two hosts": request(b"Host: b\r\n" + length(2), b"{}"),
    "no host": request(length(2), b"{}", host=b""),
    "absolute path": request(length(2), b"{}", b"POST http://a/null HTTP/1.1"),
    "old version": request(length(2), b"{}", b"POST /null HTTP/1.0"),
    "continue": request(b"Expect: 100-continue\r\n" + length(2), b"{}"),
    "continue of something else": request(b"Expect: tea\r\n" + length(len(HIDDEN)), HIDDEN),
    "upgrade": request(b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n" + length(2), b"{}"),
    "length named in Connection": request(b"Connection: Content-Length\r\n" + length(len(HIDDEN)), HIDDEN),
    "a refused body": request(length(len(HIDDEN)), HIDDEN, b"POST /nowhere HTTP/1.1"),
}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def talk(port, sent):
    with socket.create_connection(("127.0.0.1", port)) as client:
        received = b""
        try:
            client.sendall(sent)
            client.shutdown(socket.SHUT_WR)
            while piece := client.recv(65536):
                received += piece
        except ConnectionError:
            pass
        return received


class Proxies(unittest.TestCase):
    def proxy(self, program, config, arguments):
        """Its port, with the server behind it."""
        path = shutil.which(program, path=PATHS)
        if not path:
            self.skipTest(f"SKIPPED: no {program} (Debian: {program})")
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        folder = temporary.name
        self.server = Server("--max-connections", "200")
        self.addCleanup(self.server.end)
        port = free_port()
        (pathlib.Path(folder) / "config").write_text(config.format(folder=folder, port=port, server=self.server.url[7:]), encoding="utf-8")
        process = subprocess.Popen([path, *[each.format(folder=folder) for each in arguments]], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(process.wait)
        self.addCleanup(process.terminate)
        while b" 200 " not in self.reached(port):
            self.assertIsNone(process.poll(), f"{program} has ended")
            time.sleep(0.05)
        return port

    @staticmethod
    def reached(port):
        try:
            return talk(port, b"GET /livez HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        except ConnectionError:
            return b""

    def answered(self):
        """Replies that the server gave before this one."""
        text = self.server.ask("/metrics")[2]
        return sum(int(count) for count in re.findall(r'breakeven_http_replies_total\{status="\w+"\} (\d+)', text))

    def check(self, port):
        for name, sent in AMBIGUOUS.items():
            with self.subTest(name):
                before = self.answered()
                received = talk(port, sent)
                server = self.answered() - before - 1
                # Ours have a body of JSON, or are HEAD's; the proxy's own are HTML.
                ours = len(re.findall(rb"HTTP/1\.1 [2-5]\d\d [^\r]*\r\n(?:[^\r]+\r\n)*?(?i:content-type: application/json)", received))
                self.assertEqual(ours, server, received)
                self.assertNotIn(b"hidden", received, "a request inside of a body was answered")
                # What waits on a connection behind the proxy goes to the next client.
                for i in range(8):
                    marked = b"GET /livez HTTP/1.1\r\nHost: a\r\nX-Request-Id: next-%d\r\nConnection: close\r\n\r\n" % i
                    reply = talk(port, marked)
                    self.assertIn(b" 200 ", reply.split(b"\r\n")[0])
                    self.assertIn(b"next-%d" % i, reply)

    def test_nginx(self):
        self.check(self.proxy("nginx", NGINX, ["-c", "{folder}/config", "-p", "{folder}", "-e", "{folder}/log"]))

    def test_haproxy(self):
        self.check(self.proxy("haproxy", HAPROXY, ["-db", "-f", "{folder}/config"]))

    def test_alone(self):
        """No proxy: as many replies as the server counts, and the hidden one only where it is a request of its own."""
        self.server = Server()
        self.addCleanup(self.server.end)
        for name, sent in AMBIGUOUS.items():
            with self.subTest(name):
                before = self.answered()
                received = talk(int(self.server.url.rsplit(":", 1)[1]), sent)
                self.assertEqual(len(re.findall(rb"HTTP/1\.1 [2-5]\d\d ", received)), self.answered() - before - 1, received)
                self.assertNotIn(b"hidden", received)


if __name__ == "__main__":
    unittest.main()
