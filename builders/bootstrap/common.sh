# Sourced by every step. A step is started by mirror.adapters.images.bootstrap with these variables:
#   HERE     the folder of this file
#   OUT      the step's result: an empty folder, kept under a name made from the step's inputs once the step ends well
#   WORK     an empty folder to work in, removed afterwards
#   JOBS     how many processes to compile with
#   FETCHED  what fetch.sh brought (not in fetch.sh itself)
#   STEP_x   the result of step x, for every step that this one needs
set -eu
umask 022

TRIPLET=x86_64-linux-musl
DEBIAN_TRIPLET=x86_64-linux-gnu
export LC_ALL=C SOURCE_DATE_EPOCH=1640995200

die() {
    echo "error: $*" >&2
    exit 1
}

# unpack 'zlib_*.orig.tar.*': the upstream archive of a source package, into $WORK/src; goes there.
unpack() {
    set -- "$FETCHED"/sources/$1
    [ -f "$1" ] || die "$1 was not fetched"
    mkdir -p "$WORK/src"
    tar -x -f "$1" -C "$WORK/src" --strip-components=1
    cd "$WORK/src"
}

# use_musl_compiler TREE...: makes `gcc` mean Debian's musl-gcc over the merged trees (each holds usr/include, usr/lib).
# Nothing of the host's own headers or libraries is seen, and no path of the host goes into what is compiled.
use_musl_compiler() {
    SYSROOT=$WORK/sysroot
    mkdir -p "$SYSROOT" "$WORK/bin"
    for tree; do cp -r "$tree/." "$SYSROOT/"; done
    cat > "$WORK/bin/gcc" <<EOF
#!/bin/sh
# Whoever hears Debian's multiarch name goes on to look into glibc's folders: CPython's configure does.
case " \$* " in *" -print-multiarch "* | *" --print-multiarch "*) exit 1 ;; esac
REALGCC=$DEBIAN_TRIPLET-gcc-12 exec musl-gcc -ffile-prefix-map=$WORK=/usr "\$@" -idirafter $SYSROOT/usr/include -L$SYSROOT/usr/lib
EOF
    # It tells builds that they are on a Debian host.
    printf '#!/bin/sh\nexit 1\n' > "$WORK/bin/dpkg-architecture"
    chmod +x "$WORK/bin/gcc" "$WORK/bin/dpkg-architecture"
    ln -s gcc "$WORK/bin/cc"
    export PATH="$WORK/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    export CC=gcc AR=ar RANLIB=ranlib PKG_CONFIG=false CFLAGS="-O2 -fPIC"
}
