. "$HERE/common.sh"
use_musl_compiler

unpack 'bzip2_*.orig.tar.*'
make -j"$JOBS" libbz2.a CC=gcc CFLAGS="$CFLAGS -D_FILE_OFFSET_BITS=64"
install -D -m 644 -t "$OUT/usr/include" bzlib.h
install -D -m 644 -t "$OUT/usr/lib" libbz2.a
