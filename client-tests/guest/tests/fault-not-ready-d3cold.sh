# A function that is late after D3cold. The kernel leaves the wait to firmware, and waits itself in a reset only.
# ssdt: controller
# on-delay: 700
# serve: --set platform.delays=enforce
# machine: -device intel-iommu,caching-mode=on
# kernel: intel_iommu=on
# limit: 240
# violations: too-early
# complaints: Unable to change power state from D3cold to D0, device inaccessible

# asleep TEXT: the function has lost its power, as guest and daemon see it.
asleep() {
    is "$1: D3cold" D3cold "$(settles D3cold power_state)"
    is "$1: the rail is off" false "$(settles false served rail)"
}

bind_vfio
asleep "idle"
fault "power-on first 1" "not-ready 300ms"
vfio_open "late by less than firmware waits"
struck 1
is "late by less than firmware waits: it answers" "ok $MAGIC_VALUE D0" "$(v write config 4 6 2) $(v read 0 $MAGIC) $(power_state)"
is "LOW_POWER_ENTRY" ok "$(v set entry)"
asleep "low power"
fault "power-on first 1" "not-ready 300ms"
is "late by less than firmware waits: LOW_POWER_EXIT" "ok D0" "$(v set exit) $(power_state)"
struck 1
is "late by less than firmware waits: it answers again" $MAGIC_VALUE "$(v read 0 $MAGIC)"
is "the kernel says nothing of it" 0 "$(dmesg | grep -c inaccessible)"

is "LOW_POWER_ENTRY again" ok "$(v set entry)"
asleep "low power again"
fault "power-on first 1" "not-ready until-power-off"
is "silent: LOW_POWER_EXIT succeeds" ok "$(v set exit)"
warned "silent: the kernel does not wait" "Unable to change power state from D3cold to D0, device inaccessible"
is "silent: the kernel counts it as D3cold, with power" "D3cold true" "$(power_state) $(served rail)"
is "silent: its registers are out of reach" "EIO 0xffff" "$(v read 0 $MAGIC) $(v read config 6 2)"
# Before it cuts the power the kernel wants to see the function in D3hot, and finds it in D3cold already.
is "silent: LOW_POWER_ENTRY leaves the power on" "ok suspended true" "$(v set entry) $(settles suspended runtime_status) $(served rail)"
struck 1
is "it answers again: LOW_POWER_EXIT" "ok D0" "$(v set exit) $(power_state)"
is "it answers again: registers" "$MAGIC_VALUE" "$(v read 0 $MAGIC)"
vfio_close
asleep "closed"

fault "power-on first 1" "not-ready 3s"
dmesg -c >/dev/null
vfio_open "late by more than firmware waits: it opens"
warned "late by more than firmware waits: the reset waits" "ready *ms after FLR"
struck 1
is "late by more than firmware waits: a reset is on offer" "0x3 9 5" "$(v info)"
is "late by more than firmware waits: the kernel counts it as D3cold" "D3cold EIO" "$(power_state) $(v read 0 $MAGIC)"
is "late by more than firmware waits: the next reset finds it" "ok D0" "$(v reset) $(power_state)"
# The kernel wrote the ones that it had read from PMCSR: QEMU took them for D3hot.
config CAP_PM+4.w=0000
is "late by more than firmware waits: it answers" "ok $MAGIC_VALUE" "$(v write config 4 6 2) $(v read 0 $MAGIC)"
vfio_close
