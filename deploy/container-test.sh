#!/usr/bin/env bash
# Builds the Dockerfile and runs what it made, without an image registry and
# without a container engine's daemon: Debian's own packages make a base image
# that stands in for the builder's, and the image runs in namespaces of its own,
# as its configuration says, with a read-only root.
#
# Needs root on Debian (or its like) and Go; installs the rest when it is missing.
# The base is kept in $UAOL_CI_CACHE for later runs.
set -euo pipefail
cd "$(dirname "$0")/.."

cache=${UAOL_CI_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/uaol-ci}
image=localhost/uaol-container-test:$$
started=() # processes to end
work=

say() { printf '  %s\n' "$*"; }
fail() {
	printf 'container test: %s\n' "$*" >&2
	for log in "$work"/*.log; do
		[ -s "$log" ] && printf -- '--- %s\n' "${log##*/}" >&2 && tail -n 20 "$log" >&2
	done
	exit 1
}

[ "$(id -u)" = 0 ] || fail "needs root, for namespaces and mounts"

finish() {
	local pid
	for pid in "${started[@]}"; do
		kill -TERM $(cat "/proc/$pid/task/$pid/children" 2>/dev/null) "$pid" 2>/dev/null || true
	done
	for pid in "${started[@]}"; do
		timeout 20 tail --pid="$pid" -f /dev/null || kill -KILL "$pid" 2>/dev/null || true
	done
	if [ -n "$work" ]; then
		buildah rm --all >/dev/null 2>&1 || true
		buildah rmi --force "$image" >/dev/null 2>&1 || true
		rm -rf "$work"
	fi
}
trap finish EXIT

# --- what it needs ---------------------------------------------------------
missing=()
need() { command -v "$1" >/dev/null || missing+=("$2"); }
need buildah buildah
need debootstrap debootstrap
need ip iproute2
need setpriv util-linux
need openssl openssl
ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || missing+=(postgresql)
if [ ${#missing[@]} -gt 0 ]; then
	say "installing ${missing[*]}"
	export DEBIAN_FRONTEND=noninteractive
	timeout 120 apt-get update -qq
	timeout 300 apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

mkdir -p "$cache/tmp"
exec 9>"$cache/lock"
timeout 600 flock 9 || fail "another run has held $cache for 10 minutes"
work=$(mktemp -d)
chmod 711 "$work" # postgres goes through

# Our own store, out of the way of any other; no kernel help is asked for.
export STORAGE_DRIVER=vfs BUILDAH_ISOLATION=chroot TMPDIR=$cache/tmp # cache mounts live in TMPDIR
export CONTAINERS_STORAGE_CONF=$work/storage.conf
printf '[storage]\ndriver = "vfs"\ngraphroot = "%s"\nrunroot = "%s"\n' "$cache/store" "$work/run" >"$CONTAINERS_STORAGE_CONF"
buildah rm --all >/dev/null 2>&1 || true # of a run that was killed

# --- the builder's base ----------------------------------------------------
. /etc/os-release
go=$(go env GOVERSION)
base=localhost/uaol-builder:$VERSION_CODENAME-$go
if ! buildah inspect --type image "$base" >/dev/null 2>&1; then
	say "making $base with debootstrap"
	buildah images --quiet | xargs -r buildah rmi --force >/dev/null # of other versions
	timeout 400 debootstrap --variant=minbase --include=ca-certificates "$VERSION_CODENAME" "$work/base" >"$work/debootstrap.log" 2>&1 ||
		fail "debootstrap failed"
	rm -rf "$work/base/var/cache/apt" "$work/base/var/lib/apt/lists"
	cp -a "$(go env GOROOT)/." "$work/base/usr/local/go"
	made=$(buildah from scratch)
	timeout 200 buildah copy --quiet "$made" "$work/base" / >/dev/null
	buildah config --env PATH=/go/bin:/usr/local/go/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
		--env GOPATH=/go --env GOTOOLCHAIN=local "$made"
	timeout 200 buildah commit --quiet --disable-compression --rm "$made" "$base" >/dev/null
	rm -rf "$work/base"
fi

# --- the build -------------------------------------------------------------
# Modules come from this machine's module cache, by the protocol of a proxy;
# go.sum checks them as ever.
timeout 300 go mod download
began=$SECONDS
timeout 900 buildah build --quiet --format docker --pull-never \
	--build-arg BUILDER_IMAGE="$base" --build-arg VERSION=0.0.0-container-test \
	--build-arg GOPROXY=file:///modules --build-arg GOSUMDB=off \
	--volume "$(go env GOMODCACHE)/cache/download:/modules:ro" \
	--tag "$image" . >"$work/build.log" 2>&1 || fail "the build failed"
say "built in $((SECONDS - began)) s"

config() { buildah inspect --type image --format "$1" "$image"; }
user=$(config '{{.Docker.Config.User}}')
uid=${user%%:*} gid=${user##*:}
[[ $uid =~ ^[1-9][0-9]*$ && $gid =~ ^[1-9][0-9]*$ ]] || fail "the image's user is '$user', not numbers other than 0"
mapfile -t entry < <(config '{{range .Docker.Config.Entrypoint}}{{println .}}{{end}}{{range .Docker.Config.Cmd}}{{println .}}{{end}}' | sed '/^$/d')
mapfile -t health < <(config '{{range .Docker.Config.Healthcheck.Test}}{{println .}}{{end}}' | sed '/^$/d')
mapfile -t env < <(config '{{range .Docker.Config.Env}}{{println .}}{{end}}' | sed '/^$/d')
stop=$(config '{{.Docker.Config.StopSignal}}')
[ "${health[0]}" = CMD ] || fail "the health check is not in exec form: ${health[*]}"
say "image: user $user, runs '${entry[*]}', health '${health[*]:1}', stop $stop"

# --- running it ------------------------------------------------------------
container=$(buildah from --pull-never "$image")
root=$(buildah mount "$container")
say "$(find "$root" -xdev -type f | wc -l) files, $(du -sh "$root" | cut -f1)"
[ "$(stat -c %u:%g "$root/data")" = "$user" ] || fail "/data belongs to $(stat -c %u:%g "$root/data"), not to $user"
mkdir -p "$root/proc" # what an engine adds

# A network of its own, so that ports are the image's and nobody else's.
unshare --net sleep 600 9>&- &
started+=($!)
net=/proc/$!/ns/net
for _ in $(seq 50); do [ "$(readlink "$net")" != "$(readlink /proc/self/ns/net)" ] && break || sleep 0.1; done
nsenter --net="$net" ip link set lo up

# contain VARIABLE=VALUE… -- ARGUMENT… becomes the image's process as an engine
# would run it: process 1, read-only root, /tmp in memory, the volume, its user,
# no way to more rights, its environment and no other.
contain() {
	local given=()
	while [ "$1" != -- ]; do given+=("$1") && shift; done
	shift
	exec 9>&- # the lock is not its business
	exec nsenter --net="$net" unshare --mount sh -ec '
		root=$1 volume=$2; shift 2
		mount --bind "$root" "$root"
		mount --bind "$volume" "$root/data"
		mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
		mount -o remount,bind,ro "$root"
		exec "$@"
	' sh "$root" "$volume" env -i "${env[@]}" "${given[@]}" /usr/bin/setpriv --no-new-privs \
		/usr/bin/unshare --pid --fork --mount-proc --root="$root" --setgid "$gid" --setuid "$uid" -- "$@"
}
volume=$work/data
install -d -o "$uid" -g "$gid" -m 700 "$volume"

# 1. Without a database: one line, exit 1.
set +e
(contain -- "${entry[@]}") >"$work/no-database.log" 2>&1
code=$?
set -e
[ $code = 1 ] || fail "without a database it exits $code, not 1"
[ "$(wc -l <"$work/no-database.log")" = 1 ] && grep -q 'DATABASE_URL is not set' "$work/no-database.log" &&
	grep -q 'docker compose' "$work/no-database.log" ||
	fail "without a database it must print one line that names DATABASE_URL and the compose command"
say "without a database, exit 1: $(cat "$work/no-database.log")"

# 2. A PostgreSQL of ours, with a password, in the container's network.
bin=$(dirname "$(ls /usr/lib/postgresql/*/bin/initdb | sort -V | tail -n 1)")
password=$(openssl rand -hex 24)
install -d -o postgres -g postgres -m 700 "$work/postgres"
install -o postgres -m 600 /dev/null "$work/password"
echo "$password" >"$work/password"
as_postgres() { exec 9>&- nsenter --net="$net" setpriv --reuid=postgres --regid=postgres --clear-groups --no-new-privs -- "$@"; }
(cd / && timeout 120 bash -c 'exec "$@"' sh setpriv --reuid=postgres --regid=postgres --clear-groups -- \
	"$bin/initdb" --username=uaol --auth=scram-sha-256 --pwfile="$work/password" --no-sync -D "$work/postgres/data") >"$work/initdb.log" 2>&1 ||
	fail "initdb failed"
(cd / && as_postgres "$bin/postgres" -D "$work/postgres/data" -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off) >"$work/postgres.log" 2>&1 &
started+=($!)
for _ in $(seq 100); do
	nsenter --net="$net" "$bin/pg_isready" -q -h 127.0.0.1 && break || sleep 0.2
done

# 3. With it: migrations by their own command, then healthy.
given=("DATABASE_URL=postgres://uaol:$password@127.0.0.1:5432/postgres?sslmode=disable"
	"JWT_SECRET=$(openssl rand -base64 48)" "ENCRYPTION_SECRET=$(openssl rand -base64 48)")
(contain "${given[@]}" -- "${entry[0]}" migrate up) >"$work/migrate.log" 2>&1 || fail "migrate up failed"
say "migrate up: $(grep -c 'up to date' "$work/migrate.log") services up to date"

contain "${given[@]}" -- "${entry[@]}" >"$work/serve.log" 2>&1 &
outer=$!
started+=("$outer")
# unshare's only child, once that is the program and no more the preparation.
for _ in $(seq 100); do
	inner=$(tr -d ' ' <"/proc/$outer/task/$outer/children") && [ "$inner" ] && [[ $(readlink "/proc/$inner/exe") == */uaol ]] && break
	sleep 0.1
done 2>/dev/null
healthcheck() {
	env -i "${env[@]}" "${given[@]}" /usr/bin/nsenter --target "$inner" --mount --pid --net --root --wd \
		--setgid "$gid" --setuid "$uid" -- "${health[@]:1}"
}
began=$SECONDS
until healthcheck >"$work/health.log" 2>&1; do
	kill -0 "$outer" 2>/dev/null || fail "it ended instead of becoming healthy"
	[ $((SECONDS - began)) -lt 60 ] || fail "it was not healthy after 60 s"
	sleep 0.2
done
say "healthy after $((SECONDS - began)) s"

# 4. Who it is and what it may do, as the kernel says.
status() { awk -v key="$1:" '$1 == key { print $2 }' "/proc/$inner/status"; }
[ "$(status Uid)" = "$uid" ] || fail "it runs as uid $(status Uid)"
[ "$(status CapEff)" = 0000000000000000 ] || fail "it has capabilities $(status CapEff)"
[ "$(awk '{ print $NF }' <(grep NSpid "/proc/$inner/status"))" = 1 ] || fail "it is not process 1"
grep -q ' / / ro[, ]\| / ro[, ]' "/proc/$inner/mountinfo" || fail "its root is writable"
say "process 1, uid $(status Uid), no capabilities, read-only root"

# 5. SIGTERM ends it in time, with exit 0.
began=$SECONDS
kill -s "$stop" "$inner"
timeout 30 tail --pid="$outer" -f /dev/null || fail "it did not stop within 30 s of $stop"
set +e
wait "$outer"
code=$?
set -e
took=$((SECONDS - began))
[ $code = 0 ] || fail "it exited $code after $stop"
[ $took -le 25 ] || fail "its stop took $took s, more than 25"
say "$stop: exit 0 after $took s"
echo "container test: passed"
