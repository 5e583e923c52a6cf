# syntax=docker/dockerfile:1
#
# The image for people without Nix: the same program and the same traits as `nix build .#docker`
# (no shell, no root, certificates, a health check), on a base that somebody else maintains.

FROM rust:1.95.0-slim-bookworm AS build
# The allocator is built by its own Makefile; the slim image has a C compiler, and no make.
RUN apt-get update && apt-get install -y --no-install-recommends make && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY Cargo.toml Cargo.lock build.rs ./
COPY migrations migrations
COPY assets assets
COPY src src
COPY crates crates
# Not built here, but cargo reads every member of the workspace.
COPY xtask xtask
COPY loadtest/bench/bare loadtest/bench/bare
# Dependencies and earlier builds stay in caches, so that an edit compiles our crate alone.
ARG GIT_REVISION=unknown
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked && cp target/release/warp-skeleton /warp-skeleton

FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /warp-skeleton /bin/warp-skeleton
ENV APP_ENV=production HOST=0.0.0.0
USER 65532:65532
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["/bin/warp-skeleton", "healthcheck"]
ENTRYPOINT ["/bin/warp-skeleton"]
CMD ["serve"]
