# Brings the source packages that the base image of the team's proxy is compiled from, checked by apt as fetch.sh's are.
# APT_SOURCES: a sources.list made from the host's own, for Debian 12.
. "$HERE/common.sh"
. "$HERE/apt.sh"

mkdir -p "$OUT/sources"
private_apt apt-get SOURCES update
cd "$OUT/sources"
private_apt apt-get SOURCES source --download-only --tar-only $(listed nginx-sources.txt)

cd "$OUT"
find sources -type f | sort | xargs sha256sum > "$OUT/manifest"
