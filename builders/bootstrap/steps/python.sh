# CPython 3.11 for musl, from the pristine upstream archive: Debian's patches are made for Debian. Result: usr/local/.
. "$HERE/common.sh"
use_musl_compiler "$STEP_kernel_headers" "$STEP_zlib" "$STEP_bzip2" "$STEP_xz" "$STEP_libffi" "$STEP_openssl" "$STEP_sqlite"
unset CFLAGS

unpack 'python3.11_*.orig.tar.gz'
cat > Modules/Setup.local <<'EOF'
*disabled*
_tkinter nis _curses _curses_panel readline _dbm _gdbm ossaudiodev _uuid
EOF
# --build and --host give the musl name of extension modules (PEP 3149). musl's threads have small stacks.
./configure --build="$TRIPLET" --host="$TRIPLET" --prefix=/usr/local \
    --with-openssl="$SYSROOT/usr" --without-ensurepip --disable-test-modules --enable-loadable-sqlite-extensions \
    CC=gcc CXX=g++ CPPFLAGS="-I$SYSROOT/usr/include" LDFLAGS="-L$SYSROOT/usr/lib" \
    OPT="-DNDEBUG -fwrapv -O2 -Wall" CFLAGS="-DTHREAD_STACK_SIZE=0x100000"
make -j"$JOBS"
make install DESTDIR="$OUT"

lib=$OUT/usr/local/lib/python3.11
# What extension modules are compiled with is recorded, and must not name this host.
for file in "$lib"/_sysconfigdata_*.py "$lib"/config-3.11-*/Makefile "$OUT"/usr/local/lib/pkgconfig/*.pc; do
    sed -i -e "s# *-I$SYSROOT/usr/include##g; s# *-L$SYSROOT/usr/lib##g; s#--with-openssl=$SYSROOT/usr##g" \
        -e "s#$SYSROOT/usr#/usr#g; s#$WORK/src#/usr/src/python#g" "$file"
done
# Tests, desktop programs and the static library are not for an image of this kind.
rm -rf "$lib"/__pycache__/_sysconfigdata_* "$lib"/config-3.11-*/*.a "$OUT/usr/local/lib/libpython3.11.a" \
    "$lib/idlelib" "$lib/tkinter" "$lib/turtledemo" "$lib/turtle.py" "$lib/test" "$lib/lib2to3/tests" \
    "$OUT"/usr/local/bin/idle3* "$OUT/usr/local/share/man"
find "$OUT" -name '*.opt-[12].pyc' -delete
ln -s python3.11 "$OUT/usr/local/bin/python"
strip "$OUT/usr/local/bin/python3.11" "$lib"/lib-dynload/*.so
for module in _bz2 _ctypes _hashlib _lzma _socket _sqlite3 _ssl zlib; do
    ls "$lib"/lib-dynload/"$module".cpython-311-"$TRIPLET".so > /dev/null || die "CPython came out without $module"
done
