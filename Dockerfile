# Not built yet: no Docker was at hand where it was written.
# docker build --target cpu -t mmrefseg:cpu .     docker build --target cuda -t mmrefseg:cuda .
FROM python:3.11-slim AS cpu
RUN apt-get update && apt-get install -y --no-install-recommends g++ git libgl1 libglib2.0-0 && rm -rf /var/lib/apt/lists/*
WORKDIR /mmrefseg
COPY . .
RUN bash tools/install.sh --cpu
ENV PATH=/mmrefseg/.venv/bin:$PATH
CMD ["mmrefseg", "doctor"]

# The CUDA toolkit compiles mmcv's CUDA operators; its major version is that of PyTorch's ordinary builds.
FROM nvidia/cuda:13.0.1-devel-ubuntu24.04 AS cuda
RUN apt-get update && apt-get install -y --no-install-recommends g++ git libgl1 libglib2.0-0 python3-dev python3-venv \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /mmrefseg
COPY . .
ARG TORCH_CUDA_ARCH_LIST="8.0 8.6 8.9 9.0"
RUN FORCE_CUDA=1 bash tools/install.sh --cuda
ENV PATH=/mmrefseg/.venv/bin:$PATH
CMD ["mmrefseg", "doctor"]
