# Sourced by setup and run: where the prepared folder is, and how to enter it.
# shellcheck shell=bash

readonly CACHE=${DORMOUSE_GUEST_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/dormouse-guest}
readonly ROOT=$CACHE/root

die() {
    printf '%s: %s\n' "$(basename "$0")" "$*" >&2
    exit 1
}

# enter_root COMMAND...: runs COMMAND in the prepared root. Nothing is mounted there: what debootstrap made of /dev is enough for apt and QEMU.
enter_root() { chroot "$ROOT" "$@"; }
