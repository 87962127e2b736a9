# The etcd that GoChat's tests run against: Debian's.
FROM debian:12-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends etcd-server etcd-client \
    && rm -rf /var/lib/apt/lists/* \
    && install -d -o etcd -g etcd -m 700 /var/lib/etcd
USER etcd
VOLUME /var/lib/etcd
EXPOSE 2379 2380
ENTRYPOINT ["etcd"]
