. "$HERE/common.sh"
use_musl_compiler

unpack 'xz-utils_*.orig.tar.xz'
./configure --build="$TRIPLET" --prefix=/usr --libdir=/usr/lib --disable-shared --disable-nls --disable-xz --disable-xzdec \
    --disable-lzmadec --disable-lzmainfo --disable-lzma-links --disable-scripts --disable-doc
make -j"$JOBS"
make install DESTDIR="$OUT"
rm -f "$OUT"/usr/lib/*.la
