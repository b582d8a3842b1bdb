"""Engines held to SSE4.2, on processors that have more: as they would run on one from before AVX.

Most can be told by variables of the environment (``VARIABLES``). ONNX Runtime asks the processor and nobody else: in a
copy of its package, ``held``, each CPUID instruction is one that calls ``old_cpuid.c`` instead, whose answer leaves out
what came after SSE4.2.
"""

import ctypes
import importlib.util
import re
import shutil
import struct
import subprocess
import sys
from pathlib import Path

VARIABLES = {
    "XCOS_DISABLE_CPU": "avx512,avx2",
    "OPENBLAS_CORETYPE": "Nehalem",
    "ONEDNN_MAX_CPU_ISA": "SSE41",  # this and the next two: PyTorch
    "ATEN_CPU_CAPABILITY": "default",
    "MKL_ENABLE_INSTRUCTIONS": "SSE4_2",
    "OPENCV_CPU_DISABLE": "AVX,FP16,AVX2,FMA3,AVX512-SKX,AVX512-ICL",
}
CPUID, UD2 = b"\x0f\xa2", b"\x0f\x0b"


def _offset(elf: bytes, address: int) -> int:
    """Where the byte at a virtual address lies in a file of ELF64: in the segment that is loaded there."""
    (table,) = struct.unpack_from("<Q", elf, 32)
    size, count = struct.unpack_from("<HH", elf, 54)
    for i in range(count):
        kind, _, offset, start, _, length = struct.unpack_from("<IIQQQQ", elf, table + i * size)
        if kind == 1 and start <= address < start + length:
            return offset + address - start
    raise ValueError(f"address {address:#x} lies in no segment")


def _without_cpuid(library: Path) -> bytes:
    """A library whose CPUID instructions, as objdump finds them, have become UD2."""
    code = bytearray(library.read_bytes())
    command = ["objdump", "-d", "--no-show-raw-insn", str(library)]
    listing = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    for address in re.findall(r"^ *([0-9a-f]+):\tcpuid", listing, re.MULTILINE):
        at = _offset(code, int(address, 16))
        if code[at : at + 2] != CPUID:
            raise ValueError(f"{library.name}: no CPUID at {address}")
        code[at : at + 2] = UD2
    return bytes(code)


def held(module: str, cache: Path) -> Path:
    """Folder with a copy of a package that asks ``old_cpuid.c``, made once. Needs objdump and a C compiler."""
    spec = importlib.util.find_spec(module)
    assert spec is not None and spec.origin is not None
    folder = cache / f"held-{module}"
    if not folder.exists():
        part = folder.with_name(f"{folder.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        shutil.copytree(Path(spec.origin).parent, part / module)
        for library in part.rglob("*.so*"):
            library.write_bytes(_without_cpuid(library))
        source = Path(__file__).with_name("old_cpuid.c")
        subprocess.run(["cc", "-O2", "-shared", "-fPIC", source, "-o", part / "old_cpuid.so"], check=True)
        part.rename(folder)
    return folder


def hold(folder: Path) -> None:
    """Lets this process import the package from such a folder."""
    ctypes.CDLL(str(folder / "old_cpuid.so"))
    sys.path.insert(0, str(folder))
