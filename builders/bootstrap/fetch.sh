# Brings the source packages and the packages of the toolchain, checked by apt against Debian's signed Release files.
# APT_SOURCES: a sources.list made from the host's own, for Debian 12. APT_NEXT: the same mirror, for Debian 13.
# The host's own apt configuration stays as it is; its proxy and authentication settings are used.
. "$HERE/common.sh"
. "$HERE/apt.sh"

mkdir -p "$OUT/sources" "$OUT/toolchain" "$OUT/loader"

private_apt apt-get SOURCES update
cd "$OUT/sources"
# --tar-only: the upstream archives, without Debian's patches.
private_apt apt-get SOURCES source --download-only --tar-only $(listed sources.txt)
cd "$OUT/toolchain"
private_apt apt-get SOURCES download $(listed toolchain.txt)

# The loader comes from Debian 13: the musl 1.2.3 of Debian 12 has no DT_RELR and crashes on wheels that use it (cmake 4).
private_apt apt-get NEXT update
cd "$OUT/loader"
private_apt apt-get NEXT download musl

cd "$OUT"
find sources toolchain loader -type f | sort | xargs sha256sum > "$OUT/manifest"
