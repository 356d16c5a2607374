# The control plane and the init container of injected pods: one image for both. image/root.sh and image/packages.txt
# say what is in it; `make test-cluster` makes its images from the same two.
#   docker buildx build --platform linux/amd64,linux/arm64 -t trysail/trysail:0.1.0 .
ARG NODE=node:24-bookworm-slim

FROM --platform=$BUILDPLATFORM ${NODE} AS build
WORKDIR /src
COPY package.json package-lock.json .npmrc ./
RUN npm ci
COPY tsconfig.json tsconfig.build.json LICENSE ./
COPY image image
COPY src src
RUN image/root.sh /image

FROM ${NODE}
COPY image/packages.txt /tmp/
RUN apt-get update \
  && xargs apt-get install -y --no-install-recommends </tmp/packages.txt \
  && rm -rf /var/lib/apt/lists/* /var/log/* /var/cache/* /tmp/* \
  # Neither is needed to run, and both would need updates.
    /usr/local/lib/node_modules /usr/local/bin/npm /usr/local/bin/npx /opt/yarn* /usr/local/bin/yarn*
COPY --from=build /image/ /
USER 65532:65532
ENTRYPOINT ["trysail"]
