# The base image's files: Python and pip, the shell, the loader, and what tells programs where they are. Result: root.tar.
# CA_BUNDLE: the certificates that pip trusts inside the image.
. "$HERE/common.sh"

root=$WORK/root
mkdir -p "$root/lib" "$root/bin" "$root/sbin" "$root/usr/bin" "$root/usr/sbin" "$root/usr/lib" "$root/etc/ssl/certs" \
    "$root/root" "$root/home" "$root/proc" "$root/sys" "$root/dev" "$root/run" "$root/var/tmp" "$root/var/cache" "$root/tmp"
chmod 1777 "$root/tmp" "$root/var/tmp"
cp -a "$STEP_python/." "$STEP_busybox/." "$root/"

dpkg-deb -x "$FETCHED"/loader/musl_*.deb "$WORK/loader"
install -m 755 "$WORK/loader/usr/lib/$TRIPLET/libc.so" "$root/lib/ld-musl-x86_64.so.1"
# The name that auditwheel looks for, and that Alpine links programs to.
ln -s ld-musl-x86_64.so.1 "$root/lib/libc.musl-x86_64.so.1"
ln -s ../../lib/ld-musl-x86_64.so.1 "$root/usr/bin/ldd"

install -m 644 "$CA_BUNDLE" "$root/etc/ssl/certs/ca-certificates.crt"
ln -s certs/ca-certificates.crt "$root/etc/ssl/cert.pem"
printf 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n' > "$root/etc/passwd"
printf 'root:x:0:\nnogroup:x:65534:\n' > "$root/etc/group"
printf 'root:*:::::::\nnobody:*:::::::\n' > "$root/etc/shadow"
chmod 640 "$root/etc/shadow"
echo 'hosts: files dns' > "$root/etc/nsswitch.conf"
cat > "$root/etc/os-release" <<'EOF'
NAME="mirror bootstrap image"
ID=mirror-bootstrap
VERSION_ID=1
PRETTY_NAME="mirror bootstrap image (CPython 3.11, busybox and musl from Debian's packages; not Alpine)"
EOF

# ensurepip would bring setuptools too, and what is being built must find no more than it asks for.
pip=$(cd "$root" && ls usr/local/lib/python3.11/ensurepip/_bundled/pip-*.whl)
chroot "$root" /usr/local/bin/python3.11 "/$pip/pip" install --no-index --no-deps --no-cache-dir --root-user-action=ignore "/$pip"

traces=$(grep -r -l -a -F -e "$WORK" -e "$STEP_python" -e "$STEP_openssl" "$root" || true)
[ -z "$traces" ] || die "these name a folder of the host: $traces"
tar -c -f "$OUT/root.tar" --sort=name --numeric-owner --owner=0 --group=0 -C "$root" .
