"""The code on a page: its fenced blocks, run as a reader would type them, in a folder with the files that they name.

Python and commands of a page run in its order, in this process. Above a block that is not run stands
``<!-- not run: the reason -->``. What installs or builds (pip, make) is not run but checked.
"""

from __future__ import annotations

import csv
import functools
import io
import pickle
import re
import shlex
import shutil
import subprocess
import sys
import tarfile
import threading
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageEnhance

import xcos
from xcos.cli import main

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
PHOTOS = {
    "Ann": ("obama_portrait_2012.jpg", "obama_congress_2009.jpg", "obama_blue_room_2010.jpg"),
    "Ben": ("biden_blue_room_2010.jpg",),
}
PEOPLE = 24
NOT_CODE = {"text", "json", "jsonc", "c", "dockerfile", "diff", "yaml"}
_FENCE = re.compile(
    r"^(?P<indent> *)(?P<ticks>`{3,}|:{3,})(?P<kind>[^\n]*)\n(?P<text>.*?)^(?P=indent)(?P=ticks) *$", re.M | re.S
)
_NOT_RUN = re.compile(r"<!-- not run: (\S.*?) -->\s*\Z", re.S)


class Block(NamedTuple):
    """A fenced block: where it begins, its language, its text, and why it is not run ("" if it is)."""

    line: int
    kind: str
    text: str
    not_run: str


def blocks_of(page: str) -> list[Block]:
    """The blocks of code of a page, directives of MyST left out."""
    found = []
    for match in _FENCE.finditer(page):
        kind = match["kind"].strip()
        if not kind.startswith("{"):
            reason = _NOT_RUN.search(page[: match.start()])
            line = page[: match.start()].count("\n") + 1
            found.append(Block(line, kind, match["text"], reason[1] if reason else ""))
    return found


def commands_of(block: Block) -> Iterator[list[str]]:
    """The commands of a block of sh or console, split into words. Lines of output are left out."""
    for line in block.text.replace("\\\n", " ").split("\n"):
        if block.kind == "console" and not line.startswith("$ "):
            continue
        if words := shlex.split(line.removeprefix("$ "), comments=True):
            yield words


@functools.cache
def _crops() -> list[Image.Image]:
    return [Image.fromarray(xcos.crop(EXAMPLES / name)) for names in PHOTOS.values() for name in names]


def _name(person: int, picture: int) -> str:
    return f"person_{person:02d}/{person:02d}_{picture}.jpg"


@functools.cache
def _people() -> dict[str, bytes]:
    """Aligned crops of people who do not exist, as person/picture: mixtures of two of the shipped faces, three each."""
    rng, found = np.random.default_rng(0), {}
    for person in range(PEOPLE):
        first, second = (_crops()[i] for i in rng.permutation(4)[:2])
        own = Image.blend(first, second, rng.uniform(0.2, 0.8))
        tint = Image.new("RGB", own.size, tuple(rng.integers(0, 256, 3).tolist()))
        own = Image.blend(own, tint, 0.2)
        for k, picture in enumerate((own, own.transpose(Image.Transpose.FLIP_LEFT_RIGHT), own.rotate(4))):
            buffer = io.BytesIO()
            ImageEnhance.Brightness(picture).enhance(rng.uniform(0.8, 1.2)).save(buffer, "JPEG", quality=92)
            found[_name(person, k)] = buffer.getvalue()
    return found


def _pairs(count: int = 40) -> list[tuple[str, str, bool]]:
    """Pairs of `_people` by name, of one person and of two in turn."""
    pairs = []
    for i in range(count // 2):
        person, k = i % PEOPLE, i // PEOPLE
        pairs += [(_name(person, k), _name(person, k + 1), True)]
        pairs += [(_name(person, k), _name((person + 5) % PEOPLE, k + 1), False)]
    return pairs


def _copy(name: str) -> Callable[[Path], None]:
    return lambda path: path.symlink_to(EXAMPLES / name)


def _group(path: Path) -> None:
    """Three people beside each other."""
    three = [Image.open(EXAMPLES / name).resize((400, 500)) for name in (*PHOTOS["Ann"][:2], *PHOTOS["Ben"])]
    whole = Image.new("RGB", (1200, 500))
    for i, photograph in enumerate(three):
        whole.paste(photograph, (400 * i, 0))
    whole.save(path)


def _photographs(path: Path) -> None:
    for person, names in PHOTOS.items():
        (path / person).mkdir(parents=True)
        for name in names:
            (path / person / name).symlink_to(EXAMPLES / name)


def _folder(path: Path) -> None:
    for name, data in _people().items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)


def _tar(path: Path) -> None:
    with tarfile.open(path, "w") as tar:
        for name, data in _people().items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))


def _bin(path: Path) -> None:
    pairs = _pairs()
    images = [_people()[name] for first, second, _ in pairs for name in (first, second)]
    path.write_bytes(pickle.dumps((images, [same for *_, same in pairs])))


def _table(rows: Sequence[Sequence[Any]]) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows(rows)

    return write


def _pair_list(path: Path) -> None:
    """Pairs of the pictures in faces/, beside it."""
    _folder(path.parent / "faces")
    _table([("first", "second", "same")] + [(f"faces/{a}", f"faces/{b}", int(s)) for a, b, s in _pairs()])(path)


def _groups(path: Path) -> None:
    rows = [(name, ("male", "female")[i // 3 % 2], ("under 30", "30 to 44")[i // 6 % 2], name.split("/")[0])
            for i, name in enumerate(_people())]  # fmt: skip
    _table([("picture", "sex", "age", "person"), *rows])(path)


def _templates(which: int) -> Callable[[Path], None]:
    """A list as IJB has it, of one picture of each person."""
    rows = [(i, i, _name(i, which)) for i in range(20 if which == 0 else PEOPLE)]
    return _table([("TEMPLATE_ID", "SUBJECT_ID", "FILENAME"), *rows])


def _masked(path: Path) -> None:
    """MFR2's layout, of photographs."""
    _photographs(path)
    kinds, pairs = [], []
    for person, names in PHOTOS.items():
        for i, name in enumerate(names, 1):
            (path / person / name).rename(path / person / f"{person}_{i:04d}.png")
            kinds.append(f"{person}, {i}, {'surgical' if i == 2 else 'no-mask'}")
    pairs += [f"Ann\t1\t{i}" for i in (2, 3)] + [f"Ann\t{i}\tBen\t1" for i in (1, 2)]
    (path / "pairs.txt").write_text("2\t1\n" + "\n".join([pairs[0], pairs[2], pairs[1], pairs[3]]) + "\n")
    (path / "mfr2_labels.txt").write_text("\n".join(kinds) + "\n")


def _masked_and_bare(path: Path) -> None:
    """RMFD's layout: two folders of people."""
    for folder in ("AFDB_masked_face_dataset", "AFDB_face_dataset"):
        _photographs(path / folder)
        (path / folder / "Ben" / "again.jpg").symlink_to(EXAMPLES / PHOTOS["Ben"][0])


def _network(path: Path) -> None:
    """Four convolutions, from 112 x 112 pixels to 7 x 7, and a fully connected layer; random weights."""
    from onnx import TensorProto, helper, numpy_helper, save

    rng, nodes, tensors, widths, value = np.random.default_rng(0), [], [], (3, 8, 16, 16, 24), "input"
    for i, (before, after) in enumerate(pairwise(widths)):
        spread = (2 / 9 / before) ** 0.5
        weights = {f"w{i}": rng.normal(0, spread, (after, before, 3, 3)), f"s{i}": np.full((after, 1, 1), 0.2)}
        tensors += [numpy_helper.from_array(weight.astype(np.float32), name) for name, weight in weights.items()]
        nodes += [helper.make_node("Conv", [value, f"w{i}"], [f"c{i}"], strides=[2, 2], pads=[1, 1, 1, 1]),
                  helper.make_node("PRelu", [f"c{i}", f"s{i}"], [f"p{i}"])]  # fmt: skip
        value = f"p{i}"
    last = rng.normal(0, 0.03, (64, 49 * widths[-1])).astype(np.float32)
    nodes += [helper.make_node("Flatten", [value], ["flat"]),
              helper.make_node("Gemm", ["flat", "fc"], ["embedding"], transB=1)]  # fmt: skip
    shapes = {"input": ["batch", 3, 112, 112], "embedding": ["batch", 64]}
    ends = [[helper.make_tensor_value_info(name, TensorProto.FLOAT, shapes[name])] for name in shapes]
    graph = helper.make_graph(nodes, "small", *ends, [*tensors, numpy_helper.from_array(last, "fc")])
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)


def _masks(path: Path) -> None:
    """Two masks, by the template and key points that the pages use."""
    path.mkdir(parents=True)
    text = (ROOT / "docs" / "masks.cfg").read_text(encoding="utf-8")
    (path / "masks.cfg").write_text(text + "\n" + text.replace("[surgical]", "[cloth]"), encoding="utf-8")
    shutil.copy(ROOT / "docs" / "surgical_mask.png", path)


# What the pages name and a reader would have. Each is made where a page names it.
GIVEN: dict[str, Callable[[Path], None]] = {
    **dict.fromkeys(("a.jpg", "ann.jpg", "ann_1.jpg", "first.jpg"), _copy(PHOTOS["Ann"][0])),
    **dict.fromkeys(("b.jpg", "ann_2.jpg", "second.jpg"), _copy(PHOTOS["Ann"][1])),
    **dict.fromkeys(("c.jpg", "someone.jpg"), _copy(PHOTOS["Ann"][2])),
    "d.jpg": _copy(PHOTOS["Ben"][0]),
    "group.jpg": _group, "party.jpg": _group,
    "photos/": _photographs, "unsorted/": _photographs,
    "people/": _folder, "faces/": _folder, "images.tar": _tar, "people.tar": _tar,
    "lfw.bin": _bin, "agedb_30.bin": _bin,
    "pairs.csv": _pair_list, "people.csv": _groups,
    "gallery.csv": _templates(0), "probes.csv": _templates(1),
    "mfr2/": _masked, "RMFD/": _masked_and_bare, "MaskTheFace/masks": _masks,
    "model.onnx": _network, "network.onnx": _network,
    "mine.safetensors": lambda path: xcos.load().save(path),
}  # fmt: skip


class Reader:
    """Somebody who follows one page in the current folder: what Python knows by now, and servers that were started.

    `blocks` are those to be followed, `absent` the files of `GIVEN` that the page itself makes.
    """

    def __init__(self, folder: Path, blocks: Sequence[Block], absent: Sequence[str] = ()) -> None:
        self.names: dict[str, Any] = {"__name__": "__main__"}
        self.servers: list[Server] = []
        code = "".join(block.text for block in blocks)
        for name, make in GIVEN.items():
            if name not in absent and re.search(rf"(?<![\w/.]){re.escape(name.rstrip('/'))}(?![\w.])", code):
                path = folder / name.rstrip("/")
                if not path.exists():
                    make(path)

    def follow(self, block: Block) -> None:
        if block.kind == "python":
            exec(compile("\n" * block.line + block.text, "page.py", "exec"), self.names)  # errors have the page's lines
        elif block.kind in ("sh", "console"):
            for words in commands_of(block):
                self._command(words)
        elif block.kind not in NOT_CODE:
            raise ValueError(f"line {block.line}: a block of {block.kind or 'no language'}; expected python, sh, "
                             f"console, or what is no code: {', '.join(sorted(NOT_CODE))}")  # fmt: skip

    def _command(self, words: list[str]) -> None:
        if words[:2] == ["xcos", "serve"]:
            self.servers.append(Server(words[2:]))
        elif words[0] == "xcos":
            assert main(words[1:]) in (0, 1, 3), shlex.join(words)
        elif words[:3] == ["python", "-m", "xcos.train"]:
            from xcos.train.cli import main as train

            assert not train(words[3:]), shlex.join(words)
        elif words[0] == "curl":
            there = [self.servers[-1].moved(word) for word in words]
            subprocess.run([*there, "-sS", "--fail-with-body"], check=True, stdout=subprocess.DEVNULL)
        elif words[0] == "python" and words[1].endswith(".py"):
            assert (ROOT / words[1]).is_file(), words[1]
            script = [sys.executable, ROOT / words[1], *words[2:]]
            subprocess.run(script, check=True, stdout=subprocess.DEVNULL)
        elif words[0] == "make":
            targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
            assert {word for word in words[1:] if "=" not in word} <= targets, shlex.join(words)
        elif words[:2] == ["pip", "install"]:
            extras = {name for word in words[2:] for name in re.findall(r"[a-z]+", word.partition("[")[2])}
            project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
            assert all(re.search(rf"^{name} = \[", project, re.MULTILINE) for name in extras), shlex.join(words)
        else:
            raise ValueError(f"a command that nobody knows how to check: {shlex.join(words)}")

    def leave(self) -> None:
        try:
            for server in self.servers:
                assert server.address
        finally:
            for server in self.servers:
                server.end()


class Server:
    """``xcos serve`` in a process of its own, on a free port."""

    def __init__(self, arguments: Sequence[str]) -> None:
        command = [sys.executable, "-m", "xcos", "serve", *arguments, "--port", "0"]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self._guard = threading.Timer(60, self._process.kill)
        self._guard.start()

    @functools.cached_property
    def address(self) -> str:
        """Without a path, once it listens; "" where it ended instead."""
        line = self._process.stdout.readline()
        found = re.search(r"http://[\d.]+:\d+", line)
        return found[0] if found else ""

    def moved(self, word: str) -> str:
        return word.replace("http://127.0.0.1:8765", self.address)

    def end(self) -> None:
        self._guard.cancel()
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()
