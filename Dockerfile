# An image with one Go program, examples/mnist, and the libraries it needs:
#
#     docker build --target cpu -t golite . && docker run --rm golite
#
# scripts/check-docker runs the same steps where there is no Docker engine.

FROM golang:1.26.8-bookworm AS build
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3-pip \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
# libtorch before the sources: this layer stays until its pins change.
COPY third_party ./third_party
COPY cmd/libtorch ./cmd/libtorch
RUN go run ./cmd/libtorch install
COPY . .
RUN go build -trimpath -ldflags='-s -w' -o /opt/golite/torch/bin/mnist ./examples/mnist
# The wheels' own layout: libtorch finds the libraries beside it by it, and the program finds libtorch as ../lib.
RUN mkdir -p /opt/golite/torch/lib /opt/golite/nvidia/cu13/lib \
    && cp -L third_party/libtorch/lib/*.so* /opt/golite/torch/lib/ \
    && cp -L third_party/libtorch/../nvidia/cu13/lib/*.so* /opt/golite/nvidia/cu13/lib/ \
    && cp -rL third_party/libtorch/../torch-*.dist-info/licenses /opt/golite/licenses

FROM debian:bookworm-20250520-slim AS cpu
COPY --from=build /opt/golite /opt/golite
RUN ln -s /opt/golite/torch/bin/mnist /usr/local/bin/mnist \
    && ldd /opt/golite/torch/bin/mnist \
    && if ldd /opt/golite/torch/bin/mnist | grep -q 'not found'; then exit 1; fi \
    && useradd --create-home --uid 10001 golite
USER golite
WORKDIR /home/golite
CMD ["mnist", "-checkpoint", "mnist.pt"]
