# Linux's own headers, which musl-dev leaves to others: linux, asm, asm-generic.
. "$HERE/common.sh"

mkdir -p "$WORK/deb" "$OUT/usr/include"
dpkg-deb -x "$FETCHED"/toolchain/linux-libc-dev_*.deb "$WORK/deb"
cp -r "$WORK/deb/usr/include/linux" "$WORK/deb/usr/include/asm-generic" "$OUT/usr/include/"
cp -r "$WORK/deb/usr/include/$DEBIAN_TRIPLET/asm" "$OUT/usr/include/asm"
