# syntax=docker/dockerfile:1

FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
# RUST_VERSION is the toolchain of the image; without it `rust-toolchain.toml` would fetch another one.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    export RUSTUP_TOOLCHAIN="$RUST_VERSION" \
    && cargo build --release --locked -p server -p agent \
    && install -D -t /out target/release/ringfence target/release/ringfence-agent

FROM debian:bookworm-slim
# The certificate authorities are for webhooks and sign-in providers.
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --user-group --home-dir /var/lib/ringfence ringfence \
    && install -d -o ringfence -g ringfence -m 0750 /var/lib/ringfence
COPY --from=build /out/ /usr/local/bin/

# The image has no PostgreSQL: set RINGFENCE_DATABASE_URL or RINGFENCE_DATABASE_URL_FILE.
ENV RINGFENCE_DATA_DIR=/var/lib/ringfence \
    RINGFENCE_LISTEN=0.0.0.0:8443 \
    RINGFENCE_LOG__FORMAT=json
USER ringfence
WORKDIR /var/lib/ringfence
VOLUME /var/lib/ringfence
EXPOSE 8443
# Asks /readyz: database, migrations, and how fresh the in-memory picture is.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["ringfence", "healthcheck"]
ENTRYPOINT ["ringfence"]
CMD ["serve"]
