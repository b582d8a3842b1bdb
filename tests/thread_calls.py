"""Networks and heads used by many threads at once, for ThreadSanitizer: make tsan. Needs no pytest."""

import threading

import memory_calls
import numpy as np


def main() -> None:
    network, head, rng = memory_calls.network(), memory_calls.head(), np.random.default_rng(0)
    inputs = [rng.normal(size=(k % 5 + 1, 3, 12, 12)).astype(np.float32) for k in range(8)]
    grids = rng.normal(size=(200, 8, 7, 7)).astype(np.float32)

    def work(i: int) -> None:
        for k in range(60):
            network.run([inputs[(i + k) % 8]], threads=k % 4 + 1)
            if k % 6 == 0:
                memory_calls.network().run([inputs[i]], threads=3)
                head.compare_all(grids, grids[:50], threads=3)
                head.compare(grids, grids, threads=2)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print("480 runs, 80 new networks, 160 comparisons by 8 threads")


if __name__ == "__main__":
    main()
