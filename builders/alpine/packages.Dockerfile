# A builder image and the system packages that one project's recipe asks for.
ARG BUILDER
FROM ${BUILDER}
USER root
COPY packages.txt install-packages.sh /tmp/mirror/
COPY site /tmp/mirror/site
RUN sh /tmp/mirror/install-packages.sh && rm -r /tmp/mirror
USER build
