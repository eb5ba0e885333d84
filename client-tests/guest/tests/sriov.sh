# A physical function and two of its virtual functions in one guest. QEMU keeps the SR-IOV capability from the guest and takes virtual functions
# for plain ones, without PM. While they are active, the guest cannot put the physical function to sleep.
# profile: nic-sriov-card
# functions: 3
# serve: --set function.0.host.view=vfio-pci
# host: sriov-numvfs 2

. /test/lspci.sh

# turn_to NUMBER: the checks are about that function from here on.
turn_to() {
    BDF=0000:01:00.$1
    DEV=/sys/bus/pci/devices/$BDF
}

is "the slot has three functions" "0000:01:00.0 0000:01:00.1 0000:01:00.2" "$(cd /sys/bus/pci/devices && echo 0000:01:*)"
is "the physical function is there" 8086:10c9 "$(lspci -n -s "$BDF" 2>/dev/null | cut -d' ' -f3)"
is "the guest does not see its SR-IOV capability" "" "$(capability "Single Root I/O Virtualization")"
like "it sees its PM capability" "0x*" "$(capability "Power Management")"

for of in 1 2; do
    turn_to $of
    is "virtual function $of: the guest sees ids" 8086:10ca "$(lspci -n -s "$BDF" 2>/dev/null | cut -d' ' -f3)"
    is "virtual function $of: no PM capability" "" "$(capability "Power Management")"
    is "virtual function $of: no interrupt pin" 00 "$(config INTERRUPT_PIN.b)"
    like "virtual function $of: the capability list can be walked" "[1-9]*" "$(walk "0x$(config CAPABILITIES.b)" 8 w)"
    like "virtual function $of: it has a reset of its own" "*flr*" "$(cat "$DEV/reset_method")"
    config COMMAND=0006
    is "virtual function $of: its memory decodes" 0x00000000 "$(memory 0 0)"
    is "virtual function $of: it exists, says the daemon" true "$(served_of $of exists)"
done

turn_to 0
is "the host and QEMU use the physical function" 2 "$(served_of 0 runtime_usage)"
config CAP_PM+4.w=0003
usleep 20000
is "a guest's D3hot leaves it in D0" D0 "$(served_of 0 power_state)"
turn_to 1
is "a virtual function answers meanwhile" 10ca "$(config DEVICE_ID.w)"
