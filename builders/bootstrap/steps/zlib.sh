# zlib, as a static library that can go into extension modules (so are all that follow).
. "$HERE/common.sh"
use_musl_compiler

unpack 'zlib_*.orig.tar.*'
./configure --static --prefix=/usr
make -j"$JOBS" libz.a
install -D -m 644 -t "$OUT/usr/include" zlib.h zconf.h
install -D -m 644 -t "$OUT/usr/lib" libz.a
install -D -m 644 -t "$OUT/usr/lib/pkgconfig" zlib.pc
