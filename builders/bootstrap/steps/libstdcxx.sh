# libstdc++ for musl, static, from gcc 12's source by Debian's gcc 12. Result: include/ and lib/.
. "$HERE/common.sh"

mkdir "$WORK/src" "$WORK/build"
cd "$WORK/src"
# The upstream archive holds another one; of that, what libstdc++ does not read stays packed.
tar -x -O -f "$FETCHED"/sources/gcc-12_*.orig.tar.gz --wildcards '*/gcc-12*.tar.xz' | tar -x -J --strip-components=1 \
    --exclude='*/testsuite/*' --exclude='*/libgo' --exclude='*/libphobos' --exclude='*/gcc/ada' --exclude='*/gcc/d' \
    --exclude='*/libsanitizer' --exclude='*/gcc/config'
# gcc's own build makes this link; without it there is no std::thread.
ln -s gthr-posix.h libgcc/gthr-default.h
mkdir -p libstdc++-v3/testsuite
printf 'all install:\n\t@true\n' > libstdc++-v3/testsuite/Makefile.in

# gcc, not g++: so that glibc's libstdc++ is never linked, in no test of configure.
CC="$DEBIAN_TRIPLET-gcc-12 -specs=/usr/lib/$TRIPLET/musl-gcc.specs -idirafter $STEP_kernel_headers/usr/include"
CC="$CC -ffile-prefix-map=$WORK=/usr"
cd "$WORK/build"
CC="$CC" CXX="$CC -nostdinc++" CFLAGS="-O2 -fPIC" CXXFLAGS="-O2 -fPIC -ffunction-sections -fdata-sections" \
    "$WORK/src/libstdc++-v3/configure" --build="$TRIPLET" --host="$TRIPLET" --prefix="$OUT" \
    --with-gxx-include-dir="$OUT/include" --disable-multilib --disable-shared --enable-static --with-pic --disable-nls \
    --disable-libstdcxx-pch --disable-libstdcxx-verbose --disable-libstdcxx-filesystem-ts
make -j"$JOBS"
make install
rm -rf "$OUT"/lib/*.la "$OUT"/lib/*.py "$OUT/share"
