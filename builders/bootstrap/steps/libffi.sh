. "$HERE/common.sh"
use_musl_compiler "$STEP_kernel_headers"

unpack 'libffi_*.orig.tar.gz'
# Static trampolines of programs read /proc/self/maps in glibc's way.
./configure --build="$TRIPLET" --prefix=/usr --libdir=/usr/lib --disable-shared --disable-multi-os-directory \
    --disable-docs --disable-exec-static-tramp
make -j"$JOBS"
make install DESTDIR="$OUT"
rm -rf "$OUT"/usr/lib/*.la "$OUT/usr/share"
