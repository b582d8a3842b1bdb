"""Threads, forks, processes and signals."""

import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from memory_calls import FIRST, LAYERS, TENSORS

import xcos
from xcos import _core
from xcos.storage.files import kept_arrays

ROOT = Path(__file__).parents[1]
RNG = np.random.default_rng(8)


def small_network():
    return _core.Network([{"name": "x", "shape": [3, 12, 12]}], [FIRST, *LAYERS], ["y", "m"], TENSORS)


@pytest.fixture(scope="module")
def crops(photos):
    return np.stack([xcos.read_image(path)[:112, :112] for path in photos.values()] * 4)


def seen(model, crop):
    features = model.features([crop], aligned=True)
    return features.grid.tobytes() + features.embedding.tobytes()


def test_one_model_in_sixteen_threads(crops):
    """Different inputs at once: bit for bit what one thread gives."""
    model = xcos.load()
    expected = [seen(model, crop) for crop in crops]
    with ThreadPoolExecutor(16) as pool:
        for _ in range(3):
            assert list(pool.map(seen, [model] * len(crops), crops)) == expected


def test_first_runs_of_a_network_at_once():
    """Plans are made and weights packed on the first run: by one of many threads."""
    x = RNG.normal(size=(4, 3, 12, 12)).astype(np.float32)
    expected = [y.tobytes() for y in small_network().run([x], threads=1)]
    for _ in range(20):
        network, barrier = small_network(), threading.Barrier(8)

        def run(threads, network=network, barrier=barrier):
            barrier.wait()
            return [y.tobytes() for y in network.run([x], threads=threads)]

        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(run, [1, 2, 3, 4] * 2)) == [expected] * 8


def test_threads_are_obeyed():
    """threads=1 starts none; threads=n starts n - 1 at most."""
    script = (
        "import os, numpy as np; os.environ['OPENBLAS_NUM_THREADS'] = '1'\n"
        "from memory_calls import *\n"
        "count = lambda: len(os.listdir('/proc/self/task'))\n"
        "net, before = network(), count()\n"
        "net.run([X], threads=1); assert count() == before\n"
        "head().compare_all(np.ones((300, 8, 7, 7)), GRIDS, threads=1); assert count() == before\n"
        "net.run([X], threads=3); assert before < count() <= before + 2, count()\n"
    )
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def script(work, **environment):
    """Runs Python in a process of its own, with what memory_calls.py has."""
    paths = f"{ROOT}{os.pathsep}{ROOT / 'tests'}"
    environment = {**os.environ, "PYTHONPATH": paths, "OPENBLAS_NUM_THREADS": "1", **environment}
    command = [sys.executable, "-c", "import os, time, numpy as np\nfrom memory_calls import *\n" + work]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)


proc = pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="reads /proc")


@proc
def test_a_loop_wakes_no_more_workers_than_it_uses():
    """After a call with 24 threads all but one of its workers sleep through calls with two."""
    done = script(
        "grids = np.ones((600, 8, 7, 7), np.float32)\n"
        "def switches():\n"
        "    found = {}\n"
        "    for task in os.listdir('/proc/self/task'):\n"
        "        lines = open(f'/proc/self/task/{task}/status').read().splitlines()\n"
        "        found[task] = sum(int(line.split()[1]) for line in lines if 'ctxt_switches' in line)\n"
        "    return found\n"
        "h = head(); h.compare(grids, grids, threads=24); time.sleep(0.1)\n"
        "before = switches()\n"
        "for _ in range(100): h.compare(grids[:64], grids[:64], threads=2)\n"
        "after = switches()\n"
        "print(len(before), sum(after[task] > n + 3 for task, n in before.items() if task in after))\n"
    )
    assert done.returncode == 0, done.stderr
    had, woken = map(int, done.stdout.split())
    assert had > 20 and woken <= 2  # the caller's thread and one worker


@proc
def test_idle_workers_end():
    done = script(
        "count = lambda: len(os.listdir('/proc/self/task'))\n"
        "before, h, grids = count(), head(), np.ones((600, 8, 7, 7), np.float32)\n"
        "expected = h.compare(grids, grids, threads=8)[0].tobytes()\n"
        "assert count() > before\n"
        "for _ in range(100):\n"
        "    time.sleep(0.1)\n"
        "    if count() == before: break\n"
        "assert count() == before, count()\n"
        "assert h.compare(grids, grids, threads=8)[0].tobytes() == expected and count() > before\n"
    )
    assert done.returncode == 0, done.stderr


def test_the_environment_is_read_once():
    """When the module is loaded: whoever changes it later races with nobody."""
    done = script(
        "from xcos import _core\n"
        "assert _core.default_threads() == 3\n"
        "os.environ['XCOS_NUM_THREADS'] = '7'; os.environ['XCOS_DISABLE_CPU'] = 'avx512,avx2'\n"
        "assert _core.default_threads() == 3\n",
        XCOS_NUM_THREADS="3",
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("XCOS_DISABLE_CPU", "avx51", "XCOS_DISABLE_CPU names 'avx51', expected a list of avx512, avx2, sse2, neon"),
        ("XCOS_DISABLE_CPU", "avx2,generic", "XCOS_DISABLE_CPU names 'generic'"),
        ("XCOS_NUM_THREADS", "many", "XCOS_NUM_THREADS is 'many', expected 1 to 1024"),
        ("XCOS_NUM_THREADS", "0", "XCOS_NUM_THREADS is '0', expected 1 to 1024"),
    ],
)
def test_unknown_values_in_the_environment_are_errors(name, value, message):
    done = script("", **{name: value})
    assert done.returncode == 1 and f"ValueError: {message}" in done.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.parametrize("threads", [1, 2])
def test_fork_in_a_signal_handler(threads):
    """In the middle of a call: the parent's result is right; the child's too, or it says what it lacks."""
    done = script(
        "import signal, sys\n"
        "child = None\n"
        "def handler(*_):\n"
        "    global child\n"
        "    if child is None: child = os.fork()\n"
        "signal.signal(signal.SIGALRM, handler)\n"
        "h, grids = head(), RNG.normal(size=(1500, 8, 7, 7)).astype(np.float32)\n"
        "expected = h.compare_all(grids, grids, threads=1)[0]\n"
        "signal.setitimer(signal.ITIMER_REAL, 0.15, 0.05)\n"
        "for _ in range(200):\n"
        "    try:\n"
        f"        got = h.compare_all(grids, grids, threads={threads})[0]\n"
        "        wrong = not np.array_equal(got, expected)\n"
        "    except OSError as error:\n"
        "        wrong = child != 0 or 'forked while this call ran' not in str(error)\n"
        "    if wrong or child is not None: break\n"
        "signal.setitimer(signal.ITIMER_REAL, 0)\n"
        "if child == 0:\n"
        "    wrong |= not np.array_equal(h.compare_all(grids, grids, threads=2)[0], expected)\n"
        "    os._exit(wrong)\n"
        "assert child, 'no signal came'\n"
        "assert not wrong and os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0\n"
    )
    assert done.returncode == 0, done.stderr


def in_child(work):
    """Forks; the child ends with what work() says; a minute at most."""
    child = os.fork()
    if child == 0:
        try:
            os._exit(0 if work() else 1)
        finally:
            os._exit(2)
    for _ in range(600):
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.1)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return "hangs"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of forking with threads, which is the point
@pytest.mark.parametrize("busy", [False, True], ids=["idle", "while another thread runs"])
def test_fork(busy):
    network = small_network()
    x = RNG.normal(size=(6, 3, 12, 12)).astype(np.float32)
    expected = network.run([x], threads=2)[0].tobytes()
    end = threading.Event()

    def keep_busy():
        size = 2
        while not end.is_set():  # new networks and batches: the lock is held for plans and packing
            size = size % 9 + 1
            small_network().run([x[:1]], threads=2)
            network.run([np.repeat(x, size, 0)], threads=2)

    threads = [threading.Thread(target=keep_busy) for _ in range(3 if busy else 0)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(12):
            assert in_child(lambda: network.run([x], threads=2)[0].tobytes() == expected) == 0
    finally:
        end.set()
        for thread in threads:
            thread.join()


def score(model, crops):
    features = model.features(list(crops), aligned=True, threads=1)
    return model.compare(features[[0]], features[[1]], maps=False).score.tobytes()


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_models_go_to_workers(method, crops, monkeypatch):
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"no {method} here")
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}{os.pathsep}{ROOT / 'tests'}")
    model = xcos.load()
    expected = score(model, crops[[0, 3]])
    assert score(pickle.loads(pickle.dumps(model)), crops[[0, 3]]) == expected
    with multiprocessing.get_context(method).Pool(2) as pool:
        assert pool.starmap_async(score, [(model, crops[[0, 3]])] * 4).get(120) == [expected] * 4


def interrupted(work, written=None):
    """Runs a script of which `work` is the long part, and interrupts that, after 0.7 seconds and
    when two files are `written`: it has to end within a second."""
    script = (
        "import signal, numpy as np, xcos\nfrom memory_calls import head\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)  # jobs in the background begin without\n"
        f"photo, h = {str(ROOT / 'examples' / 'obama_portrait_2012.jpg')!r}, head()\n"
        "xcos.load().features([photo])\nprint('ready', flush=True)\n"
        f"try:\n    {work}\nexcept KeyboardInterrupt:\n    print('stopped', flush=True)\n"
    )
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"}
    process = subprocess.Popen([sys.executable, "-c", script], env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.7)
        while written and len(list(written())) < 2 and process.poll() is None:
            time.sleep(0.01)
        begin = time.perf_counter()
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "stopped\n"
        assert time.perf_counter() - begin < (5 if "libasan" in os.environ.get("LD_PRELOAD", "") else 1)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.mark.parametrize(
    "work",
    [
        "xcos.load()._network.run(np.zeros((20000, 3, 112, 112), np.float32), threads=2)",
        "xcos.load()._network.run(np.zeros((20000, 3, 112, 112), np.float32), threads=1)",
        "h.compare_all(np.ones((9000, 8, 7, 7)), np.ones((40000, 8, 7, 7)), threads=2)",
        "xcos.load().features(np.zeros((9000, 112, 112, 3), np.uint8), aligned=True)",
        "xcos.load().features([str(photo)] * 5000)",
    ],
)
def test_ctrl_c_ends_long_calls_within_a_second(work):
    interrupted(work)


def test_ctrl_c_in_an_evaluation_leaves_whole_files(tmp_path):
    crops = RNG.integers(0, 256, (3000, 112, 112, 3), np.uint8)
    np.save(tmp_path / "crops.npy", crops)
    work = (
        "import xcos.datasets; from xcos.evaluation import cache; cache.PART = 8; "
        f"crops = list(np.load({str(tmp_path / 'crops.npy')!r})); half = np.arange(1500); "
        "pairs = xcos.datasets.Pairs('noise', crops, ['x'] * 3000, half, half + 1500, half % 2 == 0); "
        f"xcos.evaluate(xcos.load(), pairs, cache={str(tmp_path / 'cache')!r})"
    )
    interrupted(work, lambda: (tmp_path / "cache").glob("*/*.npz"))
    (folder,) = (tmp_path / "cache").iterdir()
    parts = sorted(folder.iterdir())
    assert parts and all(kept_arrays(part) for part in parts)
    assert [part.name for part in parts] == [f"{k:05d}.npz" for k in range(len(parts))]
