#!/bin/sh
# Tries a wheel where nothing is installed but Python: a minimal Debian 12 in a folder, made by debootstrap, without
# compiler, headers, stb or OpenBLAS, and without a network. Needs root and debootstrap.
# Usage: sh tools/bare.sh WHEEL FOLDER    (FOLDER is made when absent, and kept)
set -eu
wheel=$1
root=$2
here=$(cd "$(dirname "$0")/.." && pwd)

[ -x "$root/usr/bin/python3" ] ||
    debootstrap --variant=minbase --include=python3,python3-venv bookworm "$root" http://deb.debian.org/debian >/dev/null
for tool in cc gcc clang pkg-config; do
    [ ! -e "$root/usr/bin/$tool" ] || { echo "xcos: $root has $tool; it is not bare" >&2; exit 1; }
done
rm -rf "$root/try"
mkdir -p "$root/try/wheels"
cp "$wheel" "$root/try/wheels/"
cp "$here"/examples/*.jpg "$root/try/"
python3 -m pip download --quiet --only-binary :all: --python-version 3.11 --no-deps --dest "$root/try/wheels" numpy

chroot "$root" /bin/sh -eu <<'END'
cd /try
python3 -m venv venv
venv/bin/pip install --quiet --no-index --find-links wheels xcos
venv/bin/xcos verify obama_portrait_2012.jpg obama_congress_2009.jpg
venv/bin/xcos verify obama_portrait_2012.jpg biden_blue_room_2010.jpg || [ $? = 1 ]
venv/bin/xcos explain obama_portrait_2012.jpg obama_congress_2009.jpg -o e.html >/dev/null
venv/bin/xcos info | tail -n 3
venv/bin/pip list
END
