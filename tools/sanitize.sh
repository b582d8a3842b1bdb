#!/bin/sh
# The core built with sanitizers, and a command run with it: tools/sanitize.sh address|thread [COMMAND...]
# (make sanitize, make tsan, SANITIZE=1 fuzz/run)
#
# address: AddressSanitizer and UndefinedBehaviorSanitizer; without a command, the whole test suite but for what is
#          named below; PYTEST holds more options of pytest. Leaks are looked for by test_memory.py without
#          sanitizers, since the interpreter itself leaves memory behind.
# thread:  ThreadSanitizer; without a command, tests/thread_calls.py.
#
# The build is of the tracked files as they are now, in a folder of its own under build/, and kept between runs.
set -eu
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
kind=$1
shift
tree=$PWD/build/sanitize-$kind
export XCOS_SHARED="${XCOS_SHARED:-$(dirname "$PWD")/shared}"
mkdir -p "$tree"
find "$tree" -mindepth 1 -maxdepth 1 ! -name build -exec rm -rf {} +
git ls-files -z | tar --create --null --files-from - | tar --extract --directory "$tree"
case $kind in address) sanitize=1 ;; *) sanitize=thread ;; esac
(cd "$tree" && XCOS_SANITIZE=$sanitize "$python" setup.py -q build_ext --inplace)

# libstdc++ too: the sanitizers look for its exceptions when the process starts, and torch and others throw some.
# The compiler's answer is a bare name where it has no such library, which the loader would ignore without a word.
preload=$(gcc -print-file-name=libstdc++.so.6)
case $kind in
address) preload="$(gcc -print-file-name=libasan.so) $(gcc -print-file-name=libubsan.so) $preload" ;;
*) preload="$(gcc -print-file-name=libtsan.so) $preload" ;;
esac
for library in $preload; do
    [ -e "$library" ] || { echo "tools/sanitize.sh: gcc has no $library" >&2; exit 1; }
done
export PYTHONPATH="$tree" OPENBLAS_NUM_THREADS=1 TSAN_OPTIONS=exitcode=66 PYTHONMALLOC=malloc
export ASAN_OPTIONS="detect_leaks=0:allocator_may_return_null=1:hard_rss_limit_mb=6000${ASAN_OPTIONS:+:$ASAN_OPTIONS}"
export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
if [ $# -gt 0 ]; then
    exec env LD_PRELOAD="$preload" "$@"
elif [ "$kind" = thread ]; then
    exec env LD_PRELOAD="$preload" "$python" "$tree/tests/thread_calls.py"
fi
cd "$tree/tests"
# test_packaging.py builds a core of its own, without sanitizers, in environments of its own; test_notebooks.py runs
# for an hour here what the other tests run in parts.
exec env LD_PRELOAD="$preload" "$python" -m pytest -q -p no:cacheprovider \
    --ignore=test_packaging.py --ignore=test_notebooks.py ${PYTEST:-}
