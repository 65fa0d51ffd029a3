# The course in a container. It holds the packages of constraints.txt, the embedded models and data, and JupyterLab.
#   docker build -t circpeft .
#   docker run --rm -p 8888:8888 circpeft
FROM python:3.12-slim AS tools
RUN apt-get update && apt-get install --yes --no-install-recommends git make && rm -rf /var/lib/apt/lists/*

FROM tools
# Arguments for pip that choose another build of torch (docs/installation.md).
ARG TORCH_ARGS=""
WORKDIR /circpeft
COPY . .
RUN make setup TORCH_ARGS="$TORCH_ARGS"
EXPOSE 8888
CMD [".venv/bin/circpeft", "lab", "--ip=0.0.0.0", "--no-browser"]
