"""What the timings were made on: processor, load, and its peak rate of fused multiply-adds."""

import ctypes
import os
import platform
import shutil
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

# Twelve independent chains of multiply-adds hide the latency (4 cycles) of two units per core.
# With -march=native the vector of 16 floats is one AVX-512 register or two of AVX2, and the
# compiler contracts a * b + c to one instruction.
_LOOP = """
typedef float v16 __attribute__((vector_size(64)));
float fma_loop(long rounds) {
    v16 a[12], m, b, total = {0};
    for (int i = 0; i < 16; i++) { m[i] = 0.999f; b[i] = 0.001f; }
    for (int i = 0; i < CHAINS; i++) a[i] = b * (float)i;
    for (long r = 0; r < rounds; r++) {
#pragma GCC unroll 12
        for (int i = 0; i < CHAINS; i++) a[i] = a[i] * m + b;
    }
    for (int i = 0; i < CHAINS; i++) total += a[i];
    return total[0] + total[15];
}
"""
# Registers are 32 with AVX-512 (one a chain) and 16 without (two a chain, two for m, b).
_CHAINS = {True: 12, False: 6}
_FLOPS = 16 * 2  # per chain and round


@dataclass(frozen=True)
class Machine:
    """The processor as the operating system names it."""

    cpu: str
    cores: int
    isa: str

    @classmethod
    def here(cls) -> "Machine":
        fields = {}
        if Path("/proc/cpuinfo").exists():
            for line in Path("/proc/cpuinfo").read_text().splitlines():
                key, _, value = line.partition(":")
                fields.setdefault(key.strip(), value.strip())
        flags = set(fields.get("flags", "").split())
        known = ("sse4_2", "avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16")
        family = f", family {fields['cpu family']} model {fields['model']}" if "model" in fields else ""
        return cls(
            fields.get("model name", platform.processor() or platform.machine()) + family,
            len(os.sched_getaffinity(0)),
            " ".join(name for name in known if name in flags),
        )


class Peak:
    """Measured peak of fp32 multiply-adds. Needs gcc; ``Peak.make()`` is None without one."""

    def __init__(self, library: Path) -> None:
        self._loop = ctypes.CDLL(str(library)).fma_loop
        self._loop.argtypes = [ctypes.c_long]
        self._loop.restype = ctypes.c_float

    @classmethod
    def make(cls) -> "Peak | None":
        compiler = shutil.which("gcc")
        if compiler is None:
            return None
        with tempfile.TemporaryDirectory() as folder:
            source, library = Path(folder, "fma.c"), Path(folder, "fma.so")
            source.write_text(_LOOP)
            wide = "avx512f" in Machine.here().isa
            flags = [
                "-O2",
                "-march=native",
                "-mprefer-vector-width=512",
                "-ffp-contract=fast",
                f"-DCHAINS={_CHAINS[wide]}",
            ]
            subprocess.run([compiler, *flags, "-shared", "-fPIC", "-o", library, source], check=True)
            peak = cls(library)
            peak._chains = _CHAINS[wide]
            return peak

    def gflops(self, threads: int, seconds: float = 0.3) -> float:
        """GFLOP/s (2 per multiply-add) of ``threads`` threads at once: the best of fifty tries, so short
        that other work on the machine leaves some of them alone."""
        start = time.perf_counter()
        self._loop(1_000_000)
        rounds = int(1_000_000 * seconds / 50 / (time.perf_counter() - start)) + 1
        best = 0.0
        for _ in range(50):
            workers = [threading.Thread(target=self._loop, args=(rounds,)) for _ in range(threads)]
            start = time.perf_counter()
            for worker in workers:
                worker.start()
            for worker in workers:
                worker.join()
            best = max(best, threads * rounds * self._chains * _FLOPS / (time.perf_counter() - start))
        return best / 1e9
