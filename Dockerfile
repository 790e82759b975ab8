# The server for machines without a GPU (amd64 and arm64):
#
#   docker build -t llama-gguf-inference:cpu .
#   docker run -p 8000:8000 -p 8001:8001 -v ./data:/data -e MODEL=hf:OWNER/REPOSITORY llama-gguf-inference:cpu
ARG NODE_IMAGE=node:24-bookworm-slim

FROM ${NODE_IMAGE} AS build
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates cmake g++ git make \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY package.json package-lock.json .npmrc ./
# Packages have a layer of their own, because they change seldom. The program is built below.
RUN npm ci --ignore-scripts
COPY . .
RUN npm run build
ARG GIT_SHA=unknown
ARG BUILD_TIME=unknown
ARG TARGETPLATFORM
RUN PLATFORM=${TARGETPLATFORM} node scripts/container/assemble.mjs --out /app --backend cpu

FROM ${NODE_IMAGE}
ARG GIT_SHA=unknown
ARG BUILD_TIME=unknown
LABEL org.opencontainers.image.title="llama-gguf-inference" \
      org.opencontainers.image.description="Serves a GGUF model to OpenAI-compatible clients" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.revision="${GIT_SHA}" \
      org.opencontainers.image.created="${BUILD_TIME}" \
      variant="cpu"
COPY --from=build /src/scripts/container/add-user.sh /tmp/add-user.sh
RUN /tmp/add-user.sh \
    && rm /tmp/add-user.sh \
    && ln -s /app/entrypoint.sh /usr/local/bin/llama-gguf-inference
COPY --from=build /app /app
WORKDIR /app
# DATA_DIR is not set, so the server looks in /data and where RunPod and Vast.ai mount their volumes.
# The program knows by `container` that it is in one, whatever runs the image.
ENV container=oci NODE_ENV=production HOST=0.0.0.0 PORT=8000 PORT_HEALTH=8001
# Without a group, so that the user keeps those it is in.
USER 1000
EXPOSE 8000 8001
HEALTHCHECK --interval=30s --timeout=3s --start-period=120s --retries=3 \
    CMD ["node", "/app/healthcheck.mjs"]
ENTRYPOINT ["/app/entrypoint.sh"]
CMD ["serve"]
