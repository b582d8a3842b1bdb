"""The house rules that a machine can check: who may include what, and what the built module shows."""

import ast
import inspect
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from xcos import _core
from xcos.plan import check

ROOT = Path(__file__).parents[1]
SOURCES = sorted(p for p in (ROOT / "csrc").rglob("*.[ch]"))
INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]', re.MULTILINE)
COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)
STRING = re.compile(r'"(?:\\.|[^"\\\n])*"')


def including(pattern: str) -> set[str]:
    """Files of csrc/ that include a header whose name matches."""
    found = set()
    for path in SOURCES:
        if any(re.search(pattern, name) for name in INCLUDE.findall(path.read_text())):
            found.add(path.relative_to(ROOT / "csrc").as_posix())
    return found


def code_of(path: Path) -> str:
    """A file without its comments and strings."""
    return STRING.sub('""', COMMENT.sub("", path.read_text()))


def test_there_are_sources():
    assert len(SOURCES) > 5


def outside(pattern: str, *places: str) -> set[str]:
    """Files that include a matching header, but for those in `places`: files, or folders with a slash."""
    return {name for name in including(pattern) if not name.startswith(places)}


def test_only_the_binding_knows_python():
    assert outside(r"^Python\.h$|^numpy/", "py/") == set()


def test_one_file_knows_blas():
    assert including(r"^cblas\.h$") == {"blas.c"}


def test_intrinsics_lie_with_their_processors():
    assert outside(r"intrin\.h$", "kernels/x86/") == set()
    assert outside(r"^arm_neon\.h$", "kernels/arm/") == set()


def test_only_the_image_file_has_the_decoder():
    assert including(r"stb_image") == {"image/image.c"}


def test_the_system_is_behind_os():
    """Threads, memory, the clock, processors and the environment: what another system has otherwise."""
    assert outside(r"^(pthread|sched|unistd|time|errno|sys/.*)\.h$", "os/posix/") == set()
    assert outside(r"^(windows|process|malloc)\.h$", "os/windows/") == set()


def test_every_system_has_the_same_files():
    """Which of them are compiled is the build's to say; one line in os/threads.h knows of it, for the types."""
    posix, windows = ({p.name for p in (ROOT / "csrc" / "os" / name).iterdir()} for name in ("posix", "windows"))
    assert posix == windows
    asking = {p.relative_to(ROOT / "csrc").as_posix() for p in SOURCES if "_WIN32" in code_of(p)}
    assert asking == {"os/threads.h"}


def test_one_file_reads_the_environment():
    calls = {p.relative_to(ROOT / "csrc").as_posix() for p in SOURCES if re.search(r"\bgetenv\b", code_of(p))}
    assert calls == {"os/environment.c"}


# A folder, and what its files may include beside their own folder and the system's headers; "" is csrc/ itself.
HOUSE = {
    "os": (),
    "kernels": ("os/", "xcos.h"),
    "conv": ("kernels/", "blas.h", "call.h", "dtype.h", "pool.h", "xcos.h"),
    "net": ("conv/", "ops/", "os/", "dtype.h", "pool.h", "xcos.h"),
    "ops": ("net/", "pool.h", "xcos.h"),
    "head": ("conv/", "os/", "blas.h", "pool.h", "xcos.h"),
    "image": ("kernels/", "call.h", "pool.h", "xcos.h"),
    "py": ("xcos.h",),
    "": ("os/", "kernels/cpu.h", "ops/ops.def", "xcos.h", "blas.h", "call.h", "dtype.h", "pool.h"),
}


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_the_house(path):
    """Who may know whom. A header is named by its path from csrc/, or lies beside the file."""
    folder = path.relative_to(ROOT / "csrc").parts[0] if path.parent != ROOT / "csrc" else ""
    allowed = (*HOUSE[folder], *([f"{folder}/"] if folder else []))
    for name in INCLUDE.findall(path.read_text()):
        beside = (path.parent / name).resolve()
        if beside.is_file():
            name = beside.relative_to(ROOT / "csrc").as_posix()
        if (ROOT / "csrc" / name).is_file():
            assert name.startswith(allowed), f"{path.name} includes {name}"


PREFIXES = {
    "os": "xo_",
    "kernels": "xk_",
    "conv": "xv_",
    "net": "xn_",
    "ops": "xn_",
    "head": "xh_",
    "image": "xi_",
    "py": "xpy_",
}
GLOBAL = re.compile(r"^(?!static|typedef|struct|enum|extern)[a-z][\w *]*?\b(\w+)(?:\(|\[| =|;)", re.MULTILINE)


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_prefixes(path):
    """What other files can see says where it lives, as docs/code-map.md has it; reference kernels end in _ref."""
    name = path.relative_to(ROOT / "csrc")
    prefix = PREFIXES[name.parts[0]] if len(name.parts) > 1 else "xb_" if name.stem == "blas" else "xc_"
    if path.suffix == ".c":
        for symbol in GLOBAL.findall(code_of(path)):
            reference = name.parts[:2] == ("kernels", "ref") and re.search("_(f32|u8)_", symbol)
            assert symbol.startswith((prefix, "xcos_")) or reference
    text = (ROOT / "docs" / "code-map.md").read_text()
    assert f"| `{prefix}` |" in text


def test_kernels_know_only_kernels():
    """Neither templates nor tables: only the choice among tables asks the system."""
    found = outside(r"^os/|^xcos\.h$|^(net|conv|pool|call)", "kernels/cpu.")
    assert {name for name in found if name.startswith("kernels/")} == set()


def test_one_file_picks_the_algorithm():
    """By cost: no other file compares them, and nobody asks for an instruction set by its name."""
    for path in SOURCES:
        name = path.relative_to(ROOT / "csrc").as_posix()
        if name not in ("kernels/cpu.c", "conv/pick.c"):
            assert not re.search(r"strcmp\([^)]*(->|\.)isa\b|->cost\(", code_of(path)), name


BORROWING = re.compile(
    r"\b(PyDict_(?:GetItem\w*|Next|SetDefault)|PyList_(?:GetItem|GET_ITEM)|PySequence_Fast\w*|PyWeakref_G\w+)\(([^,)]*)"
)


def test_nothing_is_borrowed_from_the_caller():
    """A reference borrowed from a container that others see may be freed by another thread, without the interpreter's
    lock, before it is used. Lists are read as tuples, dicts as copies; `ids` is the builder's own."""
    for path in (ROOT / "csrc" / "py").glob("*.c"):
        borrowed = {(name, source) for name, source in BORROWING.findall(code_of(path))}
        own = {("PyDict_GetItemWithError", source) for source in ("dict", "b->ids")}
        assert borrowed <= (own if path.name == "layers.c" else set()), path.name
    code = code_of(ROOT / "csrc" / "py" / "layers.c")
    assert set(re.findall(r"\*dict = ([\w(]+)", code)) == {"copy_of(given"}


# Functions of xcos.h that compute nothing: they build, look at sizes, free, or are about the machine.
IDLE = re.compile(
    r"xcos_(fail|start|isa_\w+|conv_select|default_threads|poll_with|operators|\w+_free"
    r"|net_(new|precision|input|constant|layer|output|shapes))"
)
DEFINITION = re.compile(r"^[a-z][^;{}=]*?\b(\w+)\(([^;{}]*)\)\n\{\n(.*?)^\}", re.MULTILINE | re.DOTALL)


def test_every_entry_opens_and_closes_a_call():
    """Each function of xcos.h that computes does so within a context (csrc/call.h)."""
    declared = re.findall(r"^(?!typedef).*\b(xcos_\w+)\(", code_of(ROOT / "csrc" / "xcos.h"), re.MULTILINE)
    entries, found = set(declared), set()
    for path in SOURCES:
        bodies = {name: body for name, _, body in DEFINITION.findall(code_of(path))}
        for name in entries & bodies.keys():
            found.add(name)
            reached, ahead = set(), {name}
            while ahead:
                reached |= ahead
                called = {word for body in ahead for word in re.findall(r"\b(\w+)\(", bodies[body])}
                ahead = (called & bodies.keys()) - reached
            words = " ".join(bodies[name] for name in reached)
            if not IDLE.fullmatch(name):
                assert "xc_open(" in words and "xc_close(" in words, name
    assert found == entries


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_the_core_never_prints_or_exits(path):
    assert re.findall(r"\b(printf|puts|putchar|perror|exit|_exit|abort)\s*\(", code_of(path)) == []


def test_the_stub_names_what_the_module_has():
    stub = ast.parse((ROOT / "xcos" / "_core.pyi").read_text())
    named = {node.name: node for node in stub.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    public = {name for name in dir(_core) if not name.startswith("_")}
    assert set(named) == public
    for name, node in named.items():
        if isinstance(node, ast.ClassDef) and node.body and not issubclass(getattr(_core, name), Exception):
            methods = {item.name for item in node.body if isinstance(item, ast.FunctionDef)} - {"__init__"}
            assert methods == {key for key in vars(getattr(_core, name)) if not key.startswith("_")}, name


def parameters_of(node):
    """What inspect.signature would say of a function of the stub: name, kind and default of each parameter."""
    args = node.args
    names = [*args.posonlyargs, *args.args]
    defaults = [None] * (len(names) - len(args.defaults)) + args.defaults
    kinds = ["POSITIONAL_ONLY"] * len(args.posonlyargs) + ["POSITIONAL_OR_KEYWORD"] * len(args.args)
    empty = inspect.Parameter.empty
    found = [
        (arg.arg, kind, empty if default is None else ast.literal_eval(default))
        for arg, kind, default in zip(names, kinds, defaults, strict=True)
    ]
    return [one for one in found if one[0] != "self"]


def test_the_stub_has_the_signatures_of_the_module():
    stub = ast.parse((ROOT / "xcos" / "_core.pyi").read_text())
    callables = {node.name: (node, getattr(_core, node.name)) for node in stub.body if hasattr(node, "args")}
    for node in (node for node in stub.body if isinstance(node, ast.ClassDef)):
        for method in (item for item in node.body if isinstance(item, ast.FunctionDef)):
            owner = getattr(_core, node.name)
            what = owner if method.name == "__init__" else getattr(owner, method.name)
            callables[f"{node.name}.{method.name}"] = method, what
    for name, (node, what) in callables.items():
        signature = inspect.signature(what)
        found = [(p.name, p.kind.name, p.default) for p in signature.parameters.values() if p.name != "self"]
        assert found == parameters_of(node), name


def test_signatures_are_what_the_binding_parses():
    """Each list of keywords in the binding, and the signature of the function whose name stands in its format."""
    seen = set()
    for path in sorted((ROOT / "csrc" / "py").glob("*.c")):
        for names, call in re.findall(
            r"\*names\[\] = \{(.*?)NULL\};.*?PyArg_ParseTupleAndKeywords\((.*?)names,", path.read_text(), re.DOTALL
        ):
            for function in re.findall(r':(\w+)"', call):
                owners = (_core, _core.Network, _core.Head)
                what = next(getattr(owner, function) for owner in owners if hasattr(owner, function))
                keywords = [name for name in inspect.signature(what).parameters if name != "self"]
                assert re.findall(r'"(\w+)"', names) == keywords, function
                seen.add(function)
    assert seen == {
        "Network", "run", "run_masked", "Head", "compare", "compare_all", "warp", "normalize", "mask_blend", "transport"
    }  # fmt: skip


def test_limits_are_those_of_the_header():
    header = (ROOT / "csrc" / "xcos.h").read_text()
    for name in ("MAX_RANK", "MAX_INPUTS"):
        assert int(re.search(rf"XCOS_{name} = (\d+)", header)[1]) == getattr(check, name)


def test_operators_are_those_of_the_documentation():
    """The core's table and docs/model-file.md's: the same operators, tensors and attributes."""
    text = (ROOT / "docs" / "model-file.md").read_text().split("| op | tensors |")[1].split("\n\n")[0]
    said = {}
    for row in text.splitlines()[2:]:
        ops, tensors, attributes = re.split(r"(?<!\\)\|", row)[1:4]
        for op in re.findall(r"`(\w+)`", ops):
            said[op] = set(re.findall(r"`([a-z_]+)`", tensors + attributes))
    said["max_pool"].discard("count_include_pad")  # the row says: average only
    said["avg_pool"].discard("dilation")  # maximum only
    assert {name: set(attributes) for name, (_, _, _, attributes) in _core.operators().items()} == said


def test_the_library_never_prints():
    for path in (ROOT / "xcos").rglob("*.py"):
        if path.name != "cli.py" and path.parent.name != "cli":
            assert not re.search(r"^\s*print\(", path.read_text(), re.MULTILINE), path


@pytest.mark.skipif(shutil.which("nm") is None, reason="nm (binutils) is not installed")
def test_the_module_exports_its_init_alone():
    table = subprocess.run(
        ["nm", "-D", "--defined-only", _core.__file__], capture_output=True, text=True, check=True
    ).stdout
    names = {line.split()[-1] for line in table.splitlines()} - {"_init", "_fini"}
    assert {name for name in names if not name.startswith(("__asan", "__ubsan"))} == {"PyInit__core"}
