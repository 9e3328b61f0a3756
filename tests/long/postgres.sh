#!/usr/bin/env bash
# PostgreSQL keeps its data on a volume whose daemon is killed under load: it recovers, no acknowledged transaction is
# lost, and pg_amcheck finds every table and index sound. Needs PostgreSQL with pgbench and pg_amcheck.
source "$(dirname "${BASH_SOURCE[0]}")/volume.sh"
kills=${LONG_KILLS:-3} clients=4 seconds=${LONG_SECONDS:-30}

bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)
for program in initdb postgres pgbench pg_amcheck; do
    [[ -x $bin/$program ]] || { echo "FAILED: there is no $program: apt-get install postgresql"; exit 1; }
done
# The server refuses to run as root.
as() { setpriv --reuid postgres --regid postgres --init-groups env PATH="$bin:$PATH" PGHOST="$work/socket" PGDATABASE=bench "$@"; }
install -d -o postgres -m 700 "$work/socket"
data=$mnt/data

start() {
    as pg_ctl -D "$data" -w -t 60 -l "$work/socket/log" \
        -o "-c listen_addresses='' -c unix_socket_directories='$work/socket' -c shared_buffers=64MB" start || {
        tail -n 20 "$work/socket/log"
        return 1
    }
}
stop() { as pg_ctl -D "$data" -w -m fast stop; }
end_server() { kill -KILL "$(head -n 1 "$data/postmaster.pid" 2>/dev/null || cat "$work/postmaster")" 2>/dev/null; }
leave_server() { end_server; leave; }
trap leave_server EXIT

# acknowledged: a client that counts up, one synchronous transaction each, and notes what was acknowledged.
acknowledged() {
    as psql -qAt -c 'select coalesce(max(n), 0) from counter' >"$work/next"
    local n
    n=$(cat "$work/next")
    while :; do
        n=$((n + 1))
        echo "insert into counter values ($n) returning n;"
    done | as psql -qAt >>"$work/acknowledged" 2>/dev/null
}
nothing_lost() {
    local noted have
    noted=$(tail -n 1 "$work/acknowledged")
    have=$(as psql -qAt -c 'select max(n) from counter')
    echo "acknowledged $noted, there is $have"
    ((have >= noted && noted > 0))
}
# cut_off: kill -9 of the daemon under load, then of the server, which can do nothing without its files.
cut_off() {
    as pgbench -n -c "$clients" -j 2 -T 60 >/dev/null 2>&1 &
    local load=$!
    acknowledged &
    local counting=$!
    sleep 5
    head -n 1 "$data/postmaster.pid" >"$work/postmaster"
    crash || return
    kill -KILL "$(cat "$work/postmaster")"
    wait "$load" "$counting" 2>/dev/null
    umount -l "$mnt"
}
again() {
    # Backends notice within moments that the server is gone, and that one takes a moment to die: neither the data
    # directory nor the socket may be in use.
    for _ in $(seq 300); do
        kill -0 "$(cat "$work/postmaster")" 2>/dev/null || pgrep -u postgres -f "postgres: .*bench" >/dev/null || break
        sleep 0.1
    done
    up && rm -f "$data/postmaster.pid" && start
}

holds "mount" up
install -d -o postgres -m 700 "$data"
holds "initdb" as initdb -D "$data" --data-checksums -A trust
holds "the server starts" start
as createdb -h "$work/socket" bench
as psql -qAt -c 'create table counter (n bigint primary key)'
holds "pgbench -i -s 10" as pgbench -i -q -s 10
holds "pgbench -c $clients -T $seconds" as pgbench -c "$clients" -j 2 -T "$seconds"
grep -E 'tps|latency average' "$work/out" | sed 's/^/     /'
for n in $(seq "$kills"); do
    holds "kill -9 under load, $n" cut_off
    holds "mount, and the server recovers" again
    holds "no acknowledged transaction is lost" nothing_lost
    sed 's/^/     /' "$work/out"
    holds "pg_amcheck is clean" as pg_amcheck --all --install-missing --heapallindexed --parent-check
done
holds "the server stops" stop
holds "umount" down
holds "check" "$cairn" check "$store" --key-file "$key"
finish
