# The team's proxy, one static program with the modules that config/nginx uses. It is called as Alpine's is.
# Result: nginx.tar, to be laid over the base image.
. "$HERE/common.sh"
use_musl_compiler "$STEP_kernel_headers" "$STEP_openssl" "$STEP_zlib" "$STEP_pcre2"

# Debian's musl has no crypt(), and nginx includes its header whether or not it asks passwords itself.
: > "$SYSROOT/usr/include/crypt.h"
unpack 'nginx_*.orig.tar.*'
./configure --prefix=/var/lib/nginx --sbin-path=/usr/sbin/nginx --conf-path=/etc/nginx/nginx.conf \
    --error-log-path=/dev/stderr --http-log-path=/dev/stdout --pid-path=/tmp/nginx.pid --lock-path=/tmp/nginx.lock \
    --with-cc=gcc --with-cc-opt="$CFLAGS" --with-ld-opt=-static --with-threads --with-pcre-jit \
    --with-http_ssl_module --with-http_v2_module --with-http_auth_request_module --with-http_stub_status_module \
    --without-http_grpc_module \
    --without-http_memcached_module --without-http_autoindex_module --without-http_ssi_module \
    --without-http_userid_module --without-http_mirror_module --without-http_empty_gif_module \
    --without-http_browser_module --without-http_auth_basic_module
make -s -j"$JOBS"

root=$WORK/root
install -D -m 755 objs/nginx "$root/usr/sbin/nginx"
strip "$root/usr/sbin/nginx"
install -D -m 644 -t "$root/etc/nginx" conf/mime.types
mkdir -p "$root/var/lib/nginx"
tar -c -f "$OUT/nginx.tar" --sort=name --numeric-owner --owner=0 --group=0 -C "$root" .
