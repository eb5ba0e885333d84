# A function that never comes back from a reset, or that fell silent: the kernel gives up after more than a minute, and the guest works on. Its
# clock counts executed instructions and jumps ahead while it sleeps, so the minutes are over at once.
# machine: -device intel-iommu,caching-mode=on -icount shift=0,sleep=off
# kernel: intel_iommu=on
# limit: 300
# complaints: Unable to change power state from D[03][a-z]* to D[03][a-z]*, device inaccessible
# violations: too-early
# errors: yes
# stderr: Unable to power on device, stuck in D3|reset reply error 25|invalid PCI interrupt pin 255

# gives_up TEXT: since its log was emptied, the kernel has waited for the function to the end.
gives_up() {
    for waited in 1023 2047 4095 8191 16383 32767; do warned "$1: the kernel waits" "not ready ${waited}ms after FLR; waiting"; done
    warned "$1: it gives up" "not ready 65535ms after FLR; giving up"
    since=$(($(uptime_ms) - start))
    if [ $since -ge 66000 ]; then ok "$1: more than a minute later"; else fail "$1: more than a minute later" "after $since ms"; fi
    from_here
}
from_here() {
    dmesg -c >/dev/null
    start=$(uptime_ms)
}
reset_by_kernel() { (echo 1 >"$DEV/reset") 2>&1 | sed 's/.*: //'; }

echo 1 >"$DEV/enable"
fault "reset flr first 1" "not-ready for-ever"
from_here
is "after FLR: every reset fails" "Inappropriate ioctl for device" "$(reset_by_kernel)"
gives_up "after FLR"
is "after FLR: registers read ones" 0xffffffff "$(memory 0 $MAGIC)"
is "after FLR: config space, too" ffff "$(config VENDOR_ID.w)"
is "after FLR: once more" "Inappropriate ioctl for device" "$(reset_by_kernel)"
gives_up "after FLR: once more"
struck 1
is "healed: the reset succeeds" "" "$(reset_by_kernel)"
is "healed: what the kernel saved meanwhile was no good: memory is off" 0 "$((0x$(config COMMAND.w) & 2))"
config COMMAND.w=0002
is "healed: it answers" "$MAGIC_VALUE" "$(memory 0 $MAGIC)"
echo 0 >"$DEV/enable"

# A function that is silent when it is opened.
bind_vfio
is "idle" D3hot "$(settles D3hot power_state)"
fault now "not-ready for-ever"
from_here
vfio_open "silent at the open: it succeeds"
gives_up "silent at the open"
is "silent at the open: no reset is on offer" "0x2 9 5 EINVAL" "$(v info) $(v reset)"
is "silent at the open: ids, pin, PMCSR, Header Type, Command, Status" "0xffffffff 0xff 0xffff 0x7f 0xffffffff" \
    "$(v read config 0) $(v read config 0x3d 1) $(v read config pm+4 2) $(v read config 0xe 1) $(v read config 4)"
is "silent at the open: BAR 0 has the address that the kernel knows" "$(bar_address 0 | tail -c 9)" "$(v read config 0x10 | tail -c 9)"
is "silent at the open: INTx has a vector" "0x7 1" "$(v irq_info intx)"
is "silent at the open: registers" "EIO D3cold" "$(v read 0 $MAGIC) $(power_state)"
vfio_close
struck 1

# A function that falls silent in use.
vfio_open "healed: it opens"
is "healed: a reset is on offer" "0x3 9 5" "$(v info)"
is "healed: it answers" "ok $MAGIC_VALUE" "$(v write config 4 6 2) $(v read 0 $MAGIC)"
fault now "not-ready for-ever"
is "silent in use: registers" 0xffffffff "$(v read 0 $MAGIC)"
from_here
is "silent in use: VFIO_DEVICE_RESET" ENOTTY "$(v reset)"
gives_up "silent in use"
is "silent in use: ids and pin stay, Status reads ones" "0x3 9 5 0xd3c01234 0x01 0x7eff 0xfffffbff" \
    "$(v info) $(v read config 0) $(v read config 0x3d 1) $(v read config pm+4 2) $(v read config 4)"
struck 1
is "healed: VFIO_DEVICE_RESET" "ok" "$(v reset)"
is "healed: it answers again" "ok $MAGIC_VALUE" "$(v write config 4 6 2) $(v read 0 $MAGIC)"
fault now "not-ready for-ever"
from_here
vfio_close
gives_up "silent at the close"
struck 1
vfio_open "healed: it opens again"
is "healed: it answers once more" "ok $MAGIC_VALUE" "$(v write config 4 6 2) $(v read 0 $MAGIC)"
vfio_close
