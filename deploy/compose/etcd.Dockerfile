# etcd's own image has no shell: nothing could ask a member for its health, nor run the
# commands that make users and roles.
FROM gcr.io/etcd-development/etcd:v3.6.14 AS etcd

FROM alpine:3.22
COPY --from=etcd /usr/local/bin/etcd /usr/local/bin/etcdctl /usr/local/bin/
