# One image for gateway, indexer, migration and supervised nodes; docker-compose.yml says which one a container is.
FROM golang:1.24-bookworm AS geth
# The last release that seals Clique; the flag: newer linkers refuse a reference geth 1.13 makes into the runtime.
RUN go install -trimpath -ldflags=-checklinkname=0 github.com/ethereum/go-ethereum/cmd/geth@v1.13.15

FROM node:20-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --include=dev --ignore-scripts --no-audit --no-fund
COPY . .
RUN node run.mjs contracts && npx tsc -p tsconfig.build.json && npm prune --omit=dev --ignore-scripts

FROM node:20-bookworm-slim
ENV NODE_ENV=production GETH_BIN=/usr/local/bin/geth
WORKDIR /app
COPY --from=geth /go/bin/geth /usr/local/bin/geth
COPY --from=build /app/package.json ./
COPY --from=build /app/node_modules node_modules
COPY --from=build /app/dist dist
COPY --chmod=755 deploy/docker/entrypoint.sh /usr/local/bin/entrypoint
RUN mkdir -p /node /ipc /enodes && chown node:node /node /ipc /enodes
USER node
ENTRYPOINT ["entrypoint"]
