#!/usr/bin/env bash
# The binary of a release, alone in an empty directory of an ordinary user, does what
# README promises: `uaol demo` ends with 0. As root it is run as nobody.
#
#   tools/release/alone.sh dist/uaol_*_linux_amd64
set -euo pipefail
binary=$(realpath "$1")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
mkdir -m 700 "$work/empty"
install -m 755 "$binary" "$work/empty/uaol"
who=()
if [ "$(id -u)" = 0 ]; then
	chown -R nobody "$work/empty"
	who=(setpriv --reuid=nobody --regid="$(id -g nobody)" --clear-groups --no-new-privs)
fi
cd "$work/empty"
[ "$(ls -A)" = uaol ]
"${who[@]}" env -i HOME="$PWD" PATH=/usr/local/bin:/usr/bin:/bin ./uaol version
"${who[@]}" env -i HOME="$PWD" PATH=/usr/local/bin:/usr/bin:/bin ./uaol demo
echo "alone: passed"
