# The builder image's compilers: Debian's gcc and g++ (on the glibc they run on), made to compile for musl.
# Result: toolchain.tar.
. "$HERE/common.sh"

root=$WORK/root
gcc=$root/usr/lib/gcc/$DEBIAN_TRIPLET/12
mkdir "$root"
for package in "$FETCHED"/toolchain/*.deb; do dpkg-deb -x "$package" "$root"; done

# Link-time optimisation, sanitizers and profilers are for other work, and glibc's headers would mislead.
cd "$root"
rm -rf etc usr/share lib/systemd usr/lib/$DEBIAN_TRIPLET/gconv usr/bin/pkg-config usr/bin/ld.so \
    usr/bin/*lto-dump* usr/bin/*gcov* usr/bin/*-gp* usr/bin/*-dwp usr/bin/*-ld.gold \
    "$gcc/lto1" "$gcc/plugin" "$gcc"/*san*
mv "usr/include/$DEBIAN_TRIPLET/asm" usr/include/asm
rm -rf "usr/include/$DEBIAN_TRIPLET"

# C++
mkdir -p usr/include/c++/12
cp -r "$STEP_libstdcxx/include/." usr/include/c++/12/
cp "$STEP_libstdcxx/lib/libstdc++.a" "$STEP_libstdcxx/lib/libsupc++.a" "$gcc/"
# gcc 12's unwinder asks glibc 2.35 for this; musl has no such thing, so it comes along.
REALGCC=$DEBIAN_TRIPLET-gcc-12 musl-gcc -O2 -fPIC -ffile-prefix-map="$HERE=/usr/src" \
    -c "$HERE/compiler/find_object.c" -o "$WORK/find_object.o"
ar r "$gcc/libgcc_eh.a" "$WORK/find_object.o"

# The drivers
mkdir -p usr/local/bin usr/local/lib/mirror
sed -e 's#@CXX@##' "$HERE/compiler/specs.in" > usr/local/lib/mirror/c.specs
cxx="-isystem /usr/include/c++/12 -isystem /usr/include/c++/12/$TRIPLET -isystem /usr/include/c++/12/backward"
sed -e "s#@CXX@#$cxx#" "$HERE/compiler/specs.in" > usr/local/lib/mirror/c++.specs
install -m 755 -t usr/local/bin "$HERE/compiler/gcc" "$HERE/compiler/cpp" "$HERE/compiler/pkg-config"
for name in cc g++ c++; do ln -s gcc "usr/local/bin/$name"; done
for name in ar ranlib as ld nm strip objcopy objdump readelf strings; do
    ln -sf "$DEBIAN_TRIPLET-$name" "usr/bin/$name"
done

# Headers and static libraries that sdists ask for, the same that CPython has in it.
for tree in "$STEP_zlib" "$STEP_bzip2" "$STEP_xz" "$STEP_libffi" "$STEP_openssl" "$STEP_sqlite"; do
    cp -r "$tree/usr/." usr/
done

# The libc to link with: a copy that builder.Dockerfile gives Alpine's soname, by which auditwheel knows it.
rm -f "usr/lib/$TRIPLET/libc.so" lib/ld-musl-x86_64.so.1
cp -L "/lib/ld-musl-x86_64.so.1" "usr/lib/$TRIPLET/libc.so"

traces=$(grep -r -l -a -F -e "$WORK" -e "$STEP_libstdcxx" -e "$STEP_openssl" -e "$HERE" "$root" || true)
[ -z "$traces" ] || die "these name a folder of the host: $traces"
tar -c -f "$OUT/toolchain.tar" --sort=name --numeric-owner --owner=0 --group=0 -C "$root" .
