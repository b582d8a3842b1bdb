"""The local page under load, on loopback: latency, throughput, memory; beside the bare engine.

    python benchmarks/serve.py                    # 400 requests for each number of clients
    python benchmarks/serve.py --memory 10000     # resident memory over so many requests, too

A server process is started on a free port and asked to explain two photographs of examples/, every client with a
connection of its own and one request at a time, so never more requests are under way than there are clients. The
bare engine is `xcos.explain` on the same bytes, from as many threads as the server has workers.
"""

from __future__ import annotations

import argparse
import http.client
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from threading import Lock, local

from machine import Machine

import xcos
from xcos import _core

EXAMPLES = Path(__file__).parents[1] / "examples"
PAIR = [(EXAMPLES / name).read_bytes() for name in ("obama_portrait_2012.jpg", "obama_congress_2009.jpg")]
BOUNDARY = "xcos-benchmark"
HEADERS = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}


def body() -> bytes:
    """The form that a browser would send."""
    parts = b""
    for field, picture in zip("ab", PAIR, strict=True):
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{field}"; filename="{field}.jpg"\r\n\r\n'
        parts += head.encode() + picture + b"\r\n"
    return parts + f"--{BOUNDARY}--\r\n".encode()


class Client:
    """Asks the server; a connection for each thread."""

    def __init__(self, port: int) -> None:
        self.port, self.body, self.mine = port, body(), local()
        self.refused, self.lock = 0, Lock()

    def __call__(self) -> None:
        if not hasattr(self.mine, "connection"):
            self.mine.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection = self.mine.connection
        while True:
            connection.request("POST", "/explain", self.body, HEADERS)
            answer = connection.getresponse()
            answer.read()
            if answer.status == 200:
                return
            if answer.status != 503:
                raise SystemExit(f"the server answered {answer.status}")
            with self.lock:
                self.refused += 1
            time.sleep(float(answer.headers["Retry-After"]))


def measure(ask: Callable[[], object], clients: int, requests: int) -> tuple[list[float], float]:
    """Seconds of each request, and requests a second."""

    def one(_: int) -> float:
        start = time.perf_counter()
        ask()
        return time.perf_counter() - start

    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(one, range(2 * clients)))  # warm
        start = time.perf_counter()
        times = list(pool.map(one, range(requests)))
        return times, requests / (time.perf_counter() - start)


def row(name: str, clients: int, times: list[float], rate: float, note: str = "") -> str:
    cuts = statistics.quantiles(times, n=100)
    return f"| {name} | {clients} | {1e3 * cuts[49]:.1f} | {1e3 * cuts[98]:.1f} | {rate:.1f} | {note} |"


def resident(process: int) -> float:
    """Resident memory in MiB."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status).group(1)) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=400)
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 2, 4, 16, 32])
    parser.add_argument("--memory", type=int, default=0, metavar="N", help="watch memory over N requests")
    options = parser.parse_args()

    cores = _core.default_threads()
    print(f"{Machine.here().cpu}, {cores} threads, xcos {xcos.__version__}, {_core.isa()}\n")
    print("| | clients | p50 ms | p99 ms | requests/s | refused (503) |\n|---|---|---|---|---|---|")
    xcos.explain(*PAIR)
    for clients in sorted({1, cores}):
        explain = partial(xcos.explain, *PAIR, threads=cores // clients)
        times, rate = measure(explain, clients, options.requests)
        print(row("xcos.explain in this process", clients, times, rate), flush=True)

    command = [sys.executable, "-m", "xcos", "serve", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            port = int(re.search(r":(\d+)/", server.stdout.readline()).group(1))
            for clients in options.clients:
                ask = Client(port)
                times, rate = measure(ask, clients, options.requests)
                print(row("POST /explain", clients, times, rate, str(ask.refused)), flush=True)
            if options.memory:
                print("\n| requests | resident MiB |\n|---|---|")
                ask, step = Client(port), max(1, options.memory // 10)
                print(f"| 0 | {resident(server.pid):.1f} |")
                for done in range(step, options.memory + 1, step):
                    measure(ask, 2 * cores, step - 4 * cores)
                    print(f"| {done} | {resident(server.pid):.1f} |", flush=True)
        finally:
            server.terminate()


if __name__ == "__main__":
    main()
