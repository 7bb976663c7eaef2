#!/bin/sh
# Runs the commands of docs/security.md, as they stand there. What is there already stays
# as it is, a password, too: so this may run at each start.
set -eu

run() {
	said=$(etcdctl "$@" 2>&1) || case $said in
	*"already exists"*) ;;
	*)
		echo "etcdctl $1 $2 $3: $said" >&2 # and not the password
		return 1
		;;
	esac
}

eval "$(awk '/^```/ { inside = ($0 == "```sh"); next } inside' "${PAGE:-/security.md}" | sed 's/^etcdctl /run /')"
