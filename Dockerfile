# An image with one Go program, examples/mnist, and the libraries it needs:
#
#     docker build --target cpu -t golite . && docker run --rm golite
#     docker build --target cuda -t golite:cuda . && docker run --rm --gpus all golite:cuda
#
# The program is the same in both; the second image has libtorch's CUDA libraries beside it, 3.3 GB, and libcgotorch_cuda.so, with which it uses the
# GPUs that it is given. It runs without one, too. scripts/check-docker runs the same steps where there is no Docker engine.

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
RUN go run ./cmd/libtorch install -kind cpu
COPY . .
RUN go build -trimpath -ldflags='-s -w' -o /opt/golite/torch/bin/mnist ./examples/mnist
# The wheels' own layout: libtorch finds the libraries beside it by it, and the program finds libtorch as ../lib.
RUN mkdir -p /opt/golite/torch/lib /opt/golite/nvidia/cu13/lib \
    && cp -L third_party/libtorch/lib/*.so* /opt/golite/torch/lib/ \
    && cp -L third_party/libtorch/../nvidia/cu13/lib/*.so* /opt/golite/nvidia/cu13/lib/ \
    && cp -rL third_party/libtorch/../torch-*.dist-info/licenses /opt/golite/licenses

FROM build AS build-cuda
RUN go run ./cmd/libtorch install -kind cuda \
    && go run ./cmd/libtorch cuda-library \
    && rm -rf /opt/golite/torch/lib /opt/golite/nvidia \
    && mkdir -p /opt/golite/torch/lib \
    && mv "$(readlink third_party/libtorch)"/lib/*.so* /opt/golite/torch/lib/ \
    && for lib in "$(readlink third_party/libtorch)"/../nvidia/*/lib; do \
         to=/opt/golite/nvidia/$(basename "$(dirname "$lib")") \
         && mkdir -p "$to/lib" \
         && mv "$lib"/*.so* "$to/lib/" || exit 1; \
       done \
    && for licenses in "$(readlink third_party/libtorch)"/../*.dist-info/licenses; do \
         cp -rL "$licenses" "/opt/golite/licenses/$(basename "$(dirname "$licenses")" .dist-info)" || exit 1; \
       done

FROM debian:bookworm-20250520-slim AS cuda
COPY --from=build-cuda /opt/golite /opt/golite
# What nvidia-container-toolkit brings in: the driver's libraries, for computing.
ENV NVIDIA_VISIBLE_DEVICES=all
ENV NVIDIA_DRIVER_CAPABILITIES=compute,utility
RUN ln -s /opt/golite/torch/bin/mnist /usr/local/bin/mnist \
    && ldd -r /opt/golite/torch/lib/libcgotorch_cuda.so \
    && if ldd -r /opt/golite/torch/lib/libcgotorch_cuda.so 2>&1 | grep -E 'not found|undefined symbol'; then exit 1; fi \
    && useradd --create-home --uid 10001 golite
USER golite
WORKDIR /home/golite
CMD ["mnist", "-checkpoint", "mnist.pt"]

# The last one is what an engine builds where no target is named.
FROM debian:bookworm-20250520-slim AS cpu
COPY --from=build /opt/golite /opt/golite
RUN ln -s /opt/golite/torch/bin/mnist /usr/local/bin/mnist \
    && ldd /opt/golite/torch/bin/mnist \
    && if ldd /opt/golite/torch/bin/mnist | grep -q 'not found'; then exit 1; fi \
    && useradd --create-home --uid 10001 golite
USER golite
WORKDIR /home/golite
CMD ["mnist", "-checkpoint", "mnist.pt"]
