# A card: both functions of a slot are there whatever the order in which QEMU opened them, in one IOMMU group, and lspci makes of each the same
# inside and outside.
# profile: gpu-card
# functions: 2
# machine: -device intel-iommu,caching-mode=on
# kernel: intel_iommu=on

. /test/lspci.sh

# turn_to NUMBER: the checks are about that function from here on.
turn_to() {
    number=$1
    BDF=0000:01:00.$number
    DEV=/sys/bus/pci/devices/$BDF
}

# part NUMBER FILE: what a text of several functions says about that one.
part() { awk -v RS= -v "number=$(($1 + 1))" 'NR == number' "$2"; }

is "the slot has two functions" "0000:01:00.0 0000:01:00.1" "$(cd /sys/bus/pci/devices && echo 0000:01:*)"
for of in 0 1; do
    turn_to $of
    part $of /test/lspci >/tmp/outside.raw
    part $of /test/config-space >/tmp/config-space.outside
    is "function $of: vendor and device are the profile's" "$(head -n 1 /tmp/outside.raw | cut -d' ' -f3)" \
        "$(lspci -n -s "$BDF" 2>/dev/null | cut -d' ' -f3)"
    is "function $of: Header Type tells of others" 80 "$(config HEADER_TYPE.b)"
    like "function $of: the capability list can be walked" "[1-9]*" "$(walk "0x$(config CAPABILITIES.b)" 8 w)"
    lspci -n -xxxx -s "$BDF" 2>/dev/null >/tmp/config-space
    is "function $of: the BARs are of the profile's types" "$(bar_types /tmp/config-space.outside)" "$(bar_types /tmp/config-space)"
    lspci -i /dev/null -n -F - -vvv </tmp/config-space 2>/dev/null | normalised >/tmp/inside
    normalised </tmp/outside.raw >/tmp/outside
    check "function $of: lspci -vvv in the guest decodes the same as outside" diff /tmp/outside /tmp/inside
    is "function $of: the daemon gives its number" $of "$(field number "$(ctl_of $of status)")"
done

group() { basename "$(readlink "/sys/bus/pci/devices/0000:01:00.$1/iommu_group")"; }
like "the display function has an IOMMU group" "[0-9]*" "$(group 0)"
is "the audio function is in the same group" "$(group 0)" "$(group 1)"
check "Linux links the audio function to the display function" test -e /sys/bus/pci/devices/0000:01:00.1/supplier:pci:0000:01:00.0

# Each has a D-state of its own; the link and main power are shared.
is "both in D0: the link is in L0" L0 "$(field link "$(ctl status)")"
turn_to 1
config CAP_PM+4.w=0003
usleep 20000
is "the audio function in D3hot" 3 "$((0x$(pmcsr) & 3))"
is "the display function is still in D0" D0 "$(field power_state "$(ctl_of 0 status)")"
is "the link stays in L0" L0 "$(field link "$(ctl status)")"
turn_to 0
config CAP_PM+4.w=0003
usleep 20000
is "both in D3hot: the link is in L1" L1 "$(field link "$(ctl status)")"
like "main power goes, by the audio function's control socket" "[!f]*" "$(ctl_of 1 rail off)"
for of in 0 1; do
    turn_to $of
    is "function $of does not answer" ffffffff "$(config VENDOR_ID.l)"
done
told "main power is back, by the display function's" rail on
usleep 120000
for of in 0 1; do
    turn_to $of
    is "function $of answers" 10de "$(config VENDOR_ID.w)"
done
