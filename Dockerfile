# syntax=docker/dockerfile:1
# UAOL as one static binary in an otherwise empty image. See deploy/compose.yaml
# for how it runs, and deploy/container-test.sh for how this file is tested.

# The place of the toolchain; a registry's mirror or a base of your own will do.
ARG BUILDER_IMAGE=golang:1.26-bookworm

FROM ${BUILDER_IMAGE} AS build
WORKDIR /src
# Unset, these are the toolchain's own defaults.
ARG GOPROXY
ARG GOSUMDB
# Modules first: this layer changes only with go.sum.
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY . .
ARG VERSION=0.1.0-dev
# Unknown here, where no history is: git rev-parse HEAD, and its date (RFC 3339).
ARG COMMIT=
ARG DATE=
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/go/cache \
    GOCACHE=/go/cache CGO_ENABLED=0 go build -trimpath -buildvcs=false -tags nomsgpack,grpcnotrace \
        -ldflags "-s -w -X uaol/app.Version=${VERSION} -X uaol/app.Commit=${COMMIT} -X uaol/app.Date=${DATE}" -o /out/uaol ./cmd/uaol
# What a binary needs around it: roots of trust, time zones, a place for data.
RUN mkdir -p /out/data /out/tmp \
    && cp /etc/ssl/certs/ca-certificates.crt /out/ca-certificates.crt \
    && cp "$(go env GOROOT)/lib/time/zoneinfo.zip" /out/zoneinfo.zip

FROM scratch AS uaol
COPY --from=build /out/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/zoneinfo.zip /usr/share/zoneinfo.zip
COPY --from=build --chown=65532:65532 /out/tmp /tmp
COPY --from=build --chown=65532:65532 /out/data /data
COPY --from=build /out/uaol /uaol
ENV UAOL_ENV=production \
    UAOL_CONTAINER=true \
    UAOL_DATA_DIR=/data \
    TMPDIR=/tmp \
    ZONEINFO=/usr/share/zoneinfo.zip
# By number, so that a cluster can see that it is not root. Nothing but /data
# and /tmp is written: the root may be mounted read-only.
USER 65532:65532
VOLUME /data
EXPOSE 3000
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["/uaol", "healthcheck"]
# A stop takes up to 25 s: give it more than the engine's 10 (docker stop -t 30).
STOPSIGNAL SIGTERM
ENTRYPOINT ["/uaol"]
CMD ["serve"]
