"""Engines in processes of their own, taking turns.

Each engine lives in its own process, so that no engine's threads, allocator or bundled libraries
meet another's; while one runs, the others wait on a pipe. A process is bound to as many processors
as it may use threads. Processes are spawned, not forked: nothing of the parent is in them.
"""

import contextlib
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from peers import SETTINGS, Adapter, Array, Setting

SPAWN = multiprocessing.get_context("spawn")


def guarded(pipe: Connection, body: Callable[..., None], *arguments: Any) -> None:
    """Runs ``body(pipe, ...)``; an exception goes through the pipe in words."""
    try:
        body(pipe, *arguments)
    except Exception as error:
        text = " ".join(str(error).split())
        pipe.send(RuntimeError(f"{type(error).__name__}: {text[:300]}"))


def start(body: Callable[..., None], *arguments: Any) -> tuple[Connection, Any]:
    """A new process that runs ``body``, and our end of the pipe to it."""
    ours, theirs = SPAWN.Pipe()
    process = SPAWN.Process(target=guarded, args=(theirs, body, *arguments), daemon=True)
    process.start()
    theirs.close()
    return ours, process


def answer(pipe: Connection) -> Any:
    """The next message of a process; its failure or death is raised as RuntimeError."""
    try:
        reply = pipe.recv()
    except EOFError:
        raise RuntimeError("its process died") from None
    if isinstance(reply, Exception):
        raise reply
    return reply


def prepare(pipe: Connection, setting: Setting, model: Path) -> None:
    """Body of a short-lived process that converts the model."""
    setting.adapter.prepare(model)
    pipe.send(None)


def serve(pipe: Connection, setting: Setting, model: Path, threads: int, cpus: list[int]) -> None:
    """Body of an engine's process: loads, then answers (x,) by the output of one run and
    (x, seconds, cpu_time) by the times of many, until it gets None."""
    os.sched_setaffinity(0, cpus)
    engine = setting.adapter(model, threads, **setting.options)
    pipe.send(None)
    while (request := pipe.recv()) is not None:
        pipe.send(engine.run(*request) if len(request) == 1 else times(engine, *request))


def times(engine: Adapter, x: Array, seconds: float, cpu_time: bool) -> list[float]:
    """Seconds per batch of runs for about ``seconds``, at least three; two more before warm up."""
    clock = time.process_time if cpu_time else time.perf_counter
    for _ in range(2):
        engine.run(x)
    result: list[float] = []
    end = time.perf_counter() + seconds
    while len(result) < 3 or time.perf_counter() < end:
        begin = clock()
        engine.run(x)
        result.append((clock() - begin) / engine.batches_per_run)
    return result


class Contestant:
    """One setting of one engine, loaded with one model. RuntimeError where the engine fails."""

    def __init__(self, name: str, model: Path, threads: int) -> None:
        self.name = name
        setting = SETTINGS[name]
        pipe, process = start(prepare, setting, model)
        answer(pipe)
        process.join()
        cpus = sorted(os.sched_getaffinity(0))[:threads]
        share = threads // setting.processes
        parts = [cpus[index * share : (index + 1) * share] or cpus for index in range(setting.processes)]
        self.workers = [start(serve, setting, model, share, part) for part in parts]
        try:
            for pipe, _ in self.workers:
                answer(pipe)
        except RuntimeError:
            self.close()
            raise

    def run(self, x: Array) -> Array:
        """The output for one batch."""
        pipe = self.workers[0][0]
        pipe.send((x,))
        return answer(pipe)

    def begin(self, x: Array, seconds: float, cpu_time: bool = False) -> None:
        """Sets the engine to running ``x`` again and again."""
        for pipe, _ in self.workers:
            pipe.send((x, seconds, cpu_time))

    def finish(self, x: Array) -> float:
        """Seconds per image of what was begun: the processes' throughputs (median runs) added up."""
        return 1 / sum(len(x) / statistics.median(answer(pipe)) for pipe, _ in self.workers)

    def turn(self, x: Array, seconds: float, cpu_time: bool = False) -> float:
        """Seconds per image, running alone."""
        self.begin(x, seconds, cpu_time)
        return self.finish(x)

    def close(self) -> None:
        for pipe, process in self.workers:
            with contextlib.suppress(OSError):  # one that has died
                pipe.send(None)
            process.join(2)
            if process.is_alive():
                process.kill()
