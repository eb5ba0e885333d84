# Sourced by setup and run: where the prepared folder is, and how to enter it.
# shellcheck shell=bash

readonly CACHE=${DORMOUSE_GUEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/dormouse-guest}
readonly ROOT=$CACHE/root

die() {
    printf '%s: %s\n' "$(basename "$0")" "$*" >&2
    exit 1
}

# enter_root COMMAND...: runs COMMAND chrooted in the prepared root. Its /proc and /dev live in a mount namespace of the command's own, so
# that nothing is left mounted however it ends. The command keeps the process id that the shell sees.
enter_root() {
    unshare --mount --propagation private -- sh -ec '
        root=$1
        shift
        mount -t proc proc "$root/proc"
        mount --bind /dev "$root/dev"
        exec chroot "$root" "$@"' sh "$ROOT" "$@"
}
