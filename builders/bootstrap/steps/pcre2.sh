# nginx's regular expressions.
. "$HERE/common.sh"
use_musl_compiler

unpack 'pcre2_*.orig.tar.*'
./configure -q --prefix=/usr --libdir=/usr/lib --disable-shared --enable-jit --disable-pcre2-16 --disable-pcre2-32
make -s -j"$JOBS" libpcre2-8.la
make -s install-libLTLIBRARIES install-nodist_includeHEADERS install-includeHEADERS DESTDIR="$OUT" \
    lib_LTLIBRARIES=libpcre2-8.la
