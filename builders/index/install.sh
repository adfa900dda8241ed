# install.sh requirements|mirror: one layer of the image's environment, /opt/server. A compiler is there or comes from apk:
# of all that devpi needs, zope.interface alone has no musllinux wheel.
set -eu
cd /tmp/mirror
export PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore PIP_DISABLE_PIP_VERSION_CHECK=1
if [ -f /tmp/site/ca-bundle.pem ]; then
    cp /tmp/site/ca-bundle.pem /etc/ssl/certs/ca-certificates.crt
    export PIP_CERT=/tmp/site/ca-bundle.pem SSL_CERT_FILE=/tmp/site/ca-bundle.pem
fi
if [ -f /tmp/site/repositories ]; then cp /tmp/site/repositories /etc/apk/repositories; fi
if [ -d /tmp/site/keys ]; then cp /tmp/site/keys/* /etc/apk/keys/; fi
if [ -f /tmp/site/pip.conf ]; then export PIP_CONFIG_FILE=/tmp/site/pip.conf; fi

case $1 in
requirements)
    command -v gcc > /dev/null || apk add --no-cache gcc musl-dev
    python3 -m venv --without-pip /opt/server
    pip --python /opt/server/bin/python install --require-hashes -r requirements.txt
    ;;
mirror)
    pip --python /opt/server/bin/python install --no-deps .
    ;;
esac
