# A VM inside the VM: the guest is the host of another QEMU, which gets the card by passthrough as device plugins, Kata Containers and
# KubeVirt hand it out. The inner machine has nothing but firmware, which gives the functions their addresses.
# inside: qemu
# page: fake-gpus.md
# profile: gpu-card
# functions: 2
# machine: -device intel-iommu,caching-mode=on
# kernel: intel_iommu=on
# ram: 1G
# stderr: iommu map to non memory area
# limit: 300

# inner: starts the inner QEMU as the page does.
inner() {
    mkfifo /tmp/to_qemu /tmp/from_qemu
    sh /test/node-3 </tmp/to_qemu >/tmp/from_qemu 2>/tmp/inner.log 5>&- &
    qemu=$!
    exec 8>/tmp/to_qemu 9</tmp/from_qemu
    read -r greeting <&9
    like "the inner QEMU starts with the function" '*"QMP"*' "$greeting"
    is "it takes commands" '{"return": {}}' "$(qmp '{"execute":"qmp_capabilities"}')"
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

AUDIO=${BDF%.0}.1

# asleep TEXT: both functions sleep, as guest and daemon see it.
asleep() {
    for number in 0 1; do
        is "$1: function $number is suspended" suspended "$(settles suspended cat "${DEV%.0}.$number/power/runtime_status")"
        is "$1: function $number is in D3hot" "D3hot D3hot" "$(cat "${DEV%.0}.$number/power_state") $(served_of $number power_state)"
    done
}

check "the page's commands bind the card" sh -e /test/node-1
group=$(basename "$(readlink "$DEV/iommu_group")")
is "the page's commands find what a device plugin does" \
    "$BDF PCI_ID=10DE:26B1 vfio-pci /dev/vfio/$group $AUDIO PCI_ID=10DE:22BA vfio-pci /dev/vfio/$group" "$(sh /test/node-2 2>&1 | xargs)"
is "the functions are alone in their IOMMU group" "$BDF $AUDIO" "$(ls "/sys/kernel/iommu_groups/$group/devices" | xargs)"
check "the group has a node" test -c "/dev/vfio/$group"
asleep "idle under vfio-pci"

resets=$(served resets)
inner
is "in use: D0" "D0 D0 D0" "$(power_state) $(served power_state) $(served_of 1 power_state)"
is "the inner firmware maps all memory BARs of the display function" 3 "$(await 3 mapped 10de:26b1)"
is "and that of the audio function" 1 "$(mapped 10de:22ba)"
like "the inner machine finds a VGA controller" "*VGA controller*" "$(seen 10de:26b1)"
like "the inner machine finds an audio controller" "*Audio controller*" "$(seen 10de:22ba)"
is "the inner firmware decodes memory" "2 2" \
    "$(($(field command "$(ctl host-access)") & 2)) $(($(field command "$(ctl_of 1 host-access)") & 2))"
is "the inner QEMU holds the group" 1 "$(ls -l "/proc/$(pidof qemu)/fd" | grep -c "/dev/vfio/$group$")"
is "the inner QEMU ends when told" '{"return": {}}' "$(qmp '{"execute":"quit"}')"
exec 8>&- 9<&-
wait $qemu
is "the inner QEMU ends cleanly" 0 $?
# There is no KVM in a machine that is emulated itself.
is "the inner QEMU complains about nothing" "" "$(grep -v -i 'kvm\|falling back to tcg' /tmp/inner.log | head -n 3)"
is "the function was reset at open and close" true "$([ $(($(served resets) - resets)) -ge 2 ] && echo true)"
asleep "given back"

node() { if [ -e "/dev/vfio/$group" ]; then echo there; else echo gone; fi; }
like "unplugged from the outer machine" '*"return"*' "$(ask unplug)"
is "unplugged: the group's node is gone" gone "$(settles gone node)"
