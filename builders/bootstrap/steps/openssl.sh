. "$HERE/common.sh"
use_musl_compiler "$STEP_kernel_headers"

unpack 'openssl_*.orig.tar.gz'
# no-async: musl has no makecontext. no-module: the legacy provider would be a file of its own.
./Configure linux-x86_64 no-shared no-module no-tests no-async no-engine \
    --prefix=/usr --openssldir=/etc/ssl --libdir=lib -fPIC
make -j"$JOBS" build_libs
make install_dev DESTDIR="$OUT"
