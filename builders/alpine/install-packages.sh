# Installs packages.txt with apk, from this site's repositories where it has its own.
set -eu
site=/tmp/mirror/site

if [ -f "$site/ca-bundle.pem" ]; then
    # apk takes OpenSSL's default certificates, and OpenSSL takes them from where this says.
    export SSL_CERT_FILE="$site/ca-bundle.pem"
fi
set -- --no-cache
if [ -f "$site/repositories" ]; then set -- "$@" --repositories-file "$site/repositories"; fi
if [ -d "$site/keys" ]; then
    # apk reads all its keys from one folder: Alpine's own come along.
    cp /etc/apk/keys/* "$site/keys/" 2> /dev/null || true
    set -- "$@" --keys-dir "$site/keys"
fi
apk add "$@" $(grep -v '^#' /tmp/mirror/packages.txt)
