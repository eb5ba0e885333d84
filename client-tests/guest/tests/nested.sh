# A VM inside the VM: the guest is the host of another QEMU, which gets the function by passthrough as device plugins, Kata Containers and
# KubeVirt hand it out. The inner machine has nothing but firmware, which gives the function its addresses.
# inside: qemu
# profile: gpu-display
# serve: --set platform.delays=enforce
# machine: -device intel-iommu,caching-mode=on
# kernel: intel_iommu=on
# ram: 1G
# stderr: iommu map to non memory area
# limit: 300

# inner FUNCTION...: starts the inner QEMU with these functions, each behind a root port of its own.
inner() {
    mkfifo /tmp/to_qemu /tmp/from_qemu
    devices=
    port=0
    for function in "$@"; do
        devices="$devices -device pcie-root-port,id=rp$port,bus=pcie.0,chassis=$((port + 1)),slot=$((port + 1))"
        devices="$devices -device vfio-pci,host=$function,bus=rp$port"
        port=$((port + 1))
    done
    # shellcheck disable=SC2086
    LD_LIBRARY_PATH=/usr/lib/x86_64-linux-gnu qemu-system-x86_64 -L /firmware -M q35 -accel tcg -m 64M -nodefaults -no-user-config \
        -display none $devices -qmp stdio </tmp/to_qemu >/tmp/from_qemu 2>/tmp/inner.log 5>&- &
    qemu=$!
    exec 8>/tmp/to_qemu 9</tmp/from_qemu
    read -r greeting <&9
    like "the inner QEMU starts with the function" '*"QMP"*' "$greeting"
    qmp '{"execute":"qmp_capabilities"}' >/tmp/answer
}

# qmp COMMAND: the inner QEMU's answer; events are passed over.
qmp() {
    printf '%s\n' "$1" >&8
    while read -r answer <&9; do
        case $answer in '{"return"'* | '{"error"'*) break ;; esac
    done
    printf '%s\n' "${answer:-no answer}" | tr -d '\r'
}

# seen IDS: what the inner machine's monitor says of the function with these ids, one line per property.
seen() {
    qmp '{"execute":"human-monitor-command","arguments":{"command-line":"info pci"}}' | sed 's/\\r//g; s/\\n/\n/g' |
        awk -v ids="PCI device $1" '/^ *Bus /{ if (found) exit; lines = "" } { lines = lines $0 "\n" } index($0, ids) { found = 1 } END { if (found) printf "%s", lines }'
}
# mapped IDS: how many memory BARs of the function have an address of the inner firmware's.
mapped() { seen "$1" | grep -c 'BAR[0-9]: .*memory at 0x[0-9a-f]* \['; }
# await WANT COMMAND...: as settles, but for minutes: two machines are emulated, one in the other.
await() {
    want=$1
    shift
    tries=0
    while got=$("$@" 2>&1); [ "$got" != "$want" ] && [ $tries -lt 180 ]; do
        sleep 1
        tries=$((tries + 1))
    done
    printf '%s\n' "$got"
}

# What a device plugin looks for: the ids, the driver, the group, and the group's node.
bind_vfio
is "the plugin finds the vendor" 0x10de "$(cat "$DEV/vendor")"
is "the plugin finds a display controller" 0x030000 "$(cat "$DEV/class")"
is "the plugin finds vfio-pci" vfio-pci "$(driver)"
group=$(basename "$(readlink "$DEV/iommu_group")")
is "the function is alone in its IOMMU group" "$BDF" "$(ls "/sys/kernel/iommu_groups/$group/devices")"
check "the group has a node" test -c "/dev/vfio/$group"
is "idle under vfio-pci: suspended" suspended "$(settles suspended runtime_status)"
is "idle under vfio-pci: the daemon agrees" D3hot "$(served power_state)"

resets=$(served resets)
inner "$BDF"
is "in use: D0" "D0 D0" "$(power_state) $(served power_state)"
is "the inner firmware maps all memory BARs" 3 "$(await 3 mapped 10de:26b1)"
like "the inner machine finds a VGA controller" "*VGA controller*" "$(seen 10de:26b1)"
is "the inner firmware decodes memory" 2 "$(($(field command "$(ctl host-access)") & 2))"
busy=$(ls /proc/$qemu/fd -l | grep -c "/dev/vfio/$group$")
is "the inner QEMU holds the group" 1 "$busy"
is "the inner QEMU ends when told" '{"return": {}}' "$(qmp '{"execute":"quit"}')"
exec 8>&- 9<&-
wait $qemu
is "the inner QEMU ends cleanly" 0 $?
is "the inner QEMU complains about nothing" "" "$(head -n 3 /tmp/inner.log)"
is "the function was reset at open and close" true "$([ $(($(served resets) - resets)) -ge 2 ] && echo true)"
is "given back: D3hot" D3hot "$(settles D3hot power_state)"
is "given back: suspended" suspended "$(settles suspended runtime_status)"
is "given back: the daemon agrees" D3hot "$(served power_state)"
