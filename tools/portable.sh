#!/bin/sh
# Compiles the C core for machines that this one is not: baseline x86-64 without any vector extension switched on,
# and 64-bit Arm, whose kernels then run under qemu's user mode, as a Nehalem and as an Arm, against their oracles.
# Needs Debian's gcc-aarch64-linux-gnu, libc6-dev-arm64-cross and qemu-user, libstb-dev, and scipy-openblas32.
# Usage: sh tools/portable.sh PYTHON
set -eu
cd "$(dirname "$0")/.."
python=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

blas=$("$python" -c 'import scipy_openblas32; print(scipy_openblas32.get_include_dir())')
stb=${XCOS_STB_INCLUDE:-/usr/include/stb}
warnings="-Wall -Wextra -Werror"
include="-Icsrc -I$stb -I$blas"
core=$(find csrc -name '*.c' ! -path 'csrc/py/*' ! -path '*/windows/*')
checkasm="$(find tests/c/checkasm csrc/kernels csrc/os -name '*.c' ! -path '*/windows/*') csrc/call.c csrc/status.c"

for target in "gcc -march=x86-64" "aarch64-linux-gnu-gcc"; do
    for source in $core; do
        # shellcheck disable=SC2086  # lists of words
        $target -std=c11 -O3 -fno-math-errno $warnings $include -c "$source" -o "$work/object.o"
    done
    echo "$target: the core compiles"
    # shellcheck disable=SC2086
    $target -std=gnu11 -O3 $warnings -static -fno-math-errno -Icsrc $checkasm -o "$work/checkasm" -lm -pthread
    case $target in
    aarch64*) qemu-aarch64 "$work/checkasm" ;;
    *) qemu-x86_64 -cpu Nehalem "$work/checkasm" ;;
    esac
done
