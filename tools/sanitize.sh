#!/bin/sh
# The tests of the core under sanitizers: tools/sanitize.sh address|thread      (make sanitize, make tsan)
# address: AddressSanitizer and UndefinedBehaviorSanitizer on the tests below (TESTS names others); leaks are
#          looked for by test_memory.py, since the interpreter itself leaves memory behind.
# thread:  ThreadSanitizer on tests/thread_calls.py.
set -eu
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
tree=$PWD/build/sanitize-$1
rm -rf "$tree"
mkdir -p "$tree"
git archive HEAD | tar x -C "$tree"
cd "$tree"
case $1 in address) sanitize=1 ;; *) sanitize=thread ;; esac
XCOS_SANITIZE=$sanitize "$python" setup.py -q build_ext --inplace
export PYTHONPATH="$tree" OPENBLAS_NUM_THREADS=1
if [ "$1" = thread ]; then
    LD_PRELOAD=$(gcc -print-file-name=libtsan.so) TSAN_OPTIONS=exitcode=66 "$python" tests/thread_calls.py
    exit
fi
export ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
export PYTHONMALLOC=malloc LD_PRELOAD="$(gcc -print-file-name=libasan.so) $(gcc -print-file-name=libubsan.so)"
cd tests
"$python" -m pytest -q -p no:cacheprovider ${TESTS:-test_image.py test_image_errors.py test_hostile.py \
    test_arguments.py test_layers.py test_head.py test_kernels.py test_results.py test_model_file.py \
    test_detector_output.py test_properties.py test_threads.py test_golden.py}
