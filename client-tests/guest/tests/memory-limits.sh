# A daemon inside the guest, where memory is short: its client hands over memory that nobody has touched, and the daemon cannot have its pages.
# mapped: never
# inside: daemon
# ram: 768M
# stderr: ^$
# limit: 240

# serve_inside COMMAND...: starts the daemon with that command before it, and waits for its socket.
serve_inside() {
    rm -f /tmp/d.*
    "$@" dormouse serve --profile testdev --socket-path /tmp/d.sock --ctl-path /tmp/d.ctl >/tmp/daemon.out 2>/tmp/daemon.log &
    daemon=$!
    tries=0
    while [ ! -S /tmp/d.ctl ] && [ $tries -lt 200 ]; do
        usleep 50000
        tries=$((tries + 1))
    done
}
# lives: "yes" if the daemon still answers.
lives() {
    case $(dormouse ctl --ctl-path /tmp/d.ctl --json status 2>&1) in
    *power_state*) echo yes ;;
    *) echo "no: $(tail -n 2 /tmp/daemon.log)" ;;
    esac
}
end_inside() {
    kill "$daemon"
    wait "$daemon"
    is "$1: the daemon ends cleanly" 0 $?
}
copy() { untouched-memory /tmp/d.sock "$@" 2>&1; }

# In the archive's folder of libraries only the loader looks by itself.
export LD_LIBRARY_PATH=/usr/lib/x86_64-linux-gnu
MIB=256

serve_inside env
for tier in file mapping; do
    is "enough memory, by $tier: untouched memory is read" copied "$(copy 64 $tier read)"
    is "enough memory, by $tier: it is written" copied "$(copy 64 $tier write)"
done
end_inside "enough memory"

# A limit of pages that the kernel promises: beyond it a page of a hole cannot be had, and who touches it through a mapping gets SIGBUS.
serve_inside env
committed=$(awk '/^Committed_AS/ { print $2 }' /proc/meminfo)
echo $((committed + 32768)) >/proc/sys/vm/overcommit_kbytes
echo 2 >/proc/sys/vm/overcommit_memory
is "strict overcommit, by file: holes are read without pages" copied "$(copy $MIB file read)"
is "strict overcommit: the daemon lives" yes "$(lives)"
like "strict overcommit, by file: a write ends with the engine's error" "status 0x?06 at *" "$(copy $MIB file write)"
is "strict overcommit: the daemon lives" yes "$(lives)"
is "strict overcommit, by mapping: where a page cannot be had, the file is read" copied "$(copy $MIB mapping read)"
is "strict overcommit: the daemon lives" yes "$(lives)"
like "strict overcommit, by mapping: a write ends with the engine's error" "status 0x?06 at *" "$(copy $MIB mapping write)"
is "strict overcommit: the daemon lives" yes "$(lives)"
echo 0 >/proc/sys/vm/overcommit_memory
end_inside "strict overcommit"

# A memory cgroup, which is charged for each page that its processes touch first.
mount -t cgroup2 none /sys/fs/cgroup
echo +memory >/sys/fs/cgroup/cgroup.subtree_control
mkdir /sys/fs/cgroup/small
echo 64M >/sys/fs/cgroup/small/memory.max
# shellcheck disable=SC2016
serve_inside sh -c 'echo $$ >/sys/fs/cgroup/small/cgroup.procs; exec "$@"' sh
is "a cgroup of 64 MiB, by file: holes are read without pages" copied "$(copy $MIB file read)"
is "a cgroup of 64 MiB: the daemon lives" yes "$(lives)"
end_inside "a cgroup of 64 MiB"
