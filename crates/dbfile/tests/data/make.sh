#!/usr/bin/env bash
# Fills an etcd and backs it up: make.sh ETCD ETCDCTL NAME. With DEFRAG set, the file is defragmented first.
set -euo pipefail
etcd=$1 ctl=$2 name=$3
data=$(mktemp -d)
port=$((20000 + RANDOM % 20000)) peer=$((40000 + RANDOM % 20000))
export ETCDCTL_API=3 ETCDCTL_ENDPOINTS=http://127.0.0.1:$port
"$etcd" --name fixture --data-dir "$data" --bcrypt-cost 4 \
    --listen-client-urls "http://127.0.0.1:$port" --advertise-client-urls "http://127.0.0.1:$port" \
    --listen-peer-urls "http://127.0.0.1:$peer" --initial-advertise-peer-urls "http://127.0.0.1:$peer" \
    --initial-cluster "fixture=http://127.0.0.1:$peer" >"$name.log" 2>&1 &
pid=$!
trap 'kill $pid; rm -rf "$data"' EXIT
until "$ctl" endpoint health >/dev/null 2>&1; do :; done
run() { "$ctl" "$@" >/dev/null; }

run put config/one 1
run put config/two 2
run put config/one 1.1
run put gone x
run del gone
run put back 1
run del back
run put back 2
printf 'version("none") = "0"\n\nput txn/a 1\nput txn/b 2\ndel config/two\n\n\n' | run txn
lease=$("$ctl" lease grant 3600 | awk '{print $2}')
run put leased v --lease="$lease"
run put big "$(head -c 5000 /dev/zero | tr '\0' 'b')"
run compact 9
for i in $(seq 10 45); do
    run put "many/$i" "$(head -c 60 /dev/zero | tr '\0' 'm')"
done
run put config/one 1.2
run del leased
run put config/three 3
run role add reader
run role grant-permission reader read config/ config0
run user add alice:secret
run user add root:secret
run user grant-role alice reader
run user grant-role root root
[ -z "${DEFRAG:-}" ] || run defrag
run snapshot save "$name.backup"
