# Build with everything, run with what is needed: production packages, the compiled program, no root.
FROM node:20-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci
COPY tsconfig.json tsconfig.build.json ./
COPY scripts scripts
COPY src src
RUN npm run build && chmod +x dist/cli/main.js

# `docker compose run --rm bench`: it needs the sources and what it is compared with.
FROM build AS bench
COPY tsconfig.bench.json ./
COPY bench bench
COPY test test
RUN node scripts/core.mjs .bench/build && npx tsc -p tsconfig.bench.json && chown -R node:node .bench
USER node
ENTRYPOINT ["node", "--max-semi-space-size=4", ".bench/bench/main.js"]
CMD ["payments"]

FROM build AS production
RUN npm prune --omit=dev

FROM node:20-bookworm-slim
ENV NODE_ENV=production
WORKDIR /app
COPY --from=production --chown=root:root /app/package.json ./
COPY --from=production --chown=root:root /app/node_modules node_modules
COPY --from=production --chown=root:root /app/dist dist
COPY --from=production --chown=root:root /app/build build
RUN ln -s /app/dist/cli/main.js /usr/local/bin/fulmen && mkdir /data /scrape && chown node:node /data /scrape
USER node
VOLUME /data
ENV FULMEN_DATA_DIR=/data
# Short collections of garbage: docs/performance.md, "Answers while payments are under way".
ENTRYPOINT ["node", "--max-semi-space-size=4", "/app/dist/cli/main.js"]
CMD ["start"]
