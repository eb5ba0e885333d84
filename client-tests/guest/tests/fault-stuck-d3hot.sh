# A function that does not come out of D3hot when it is told to.
# machine: -device intel-iommu,caching-mode=on
# kernel: intel_iommu=on
# complaints: Refused to change power state from D3hot to D0

refused="Refused to change power state from D3hot to D0"

config CAP_PM+4.w=0003
fault "d-state d3hot d0 first 1" stuck
dmesg -c >/dev/null
echo 1 >"$DEV/enable"
warned "the kernel enables it: it refuses" "$refused"
is "the kernel enables it: D3hot" "D3hot D3hot 0003" "$(power_state) $(served power_state) $(pmcsr)"
struck 1
echo 0 >"$DEV/enable"
config CAP_PM+4.w=0000
echo 1 >"$DEV/enable"
is "told again, it comes" "D0 D0" "$(power_state) $(served power_state)"
echo 0 >"$DEV/enable"

bind_vfio
vfio_open
is "memory on" ok "$(v write config 4 6 2)"
is "LOW_POWER_ENTRY" ok "$(v set entry)"
is "asleep" D3hot "$(settles D3hot power_state)"
fault "d-state d3hot d0" stuck
is "stuck: LOW_POWER_EXIT succeeds" ok "$(v set exit)"
is "stuck: active in D3hot" "active D3hot D3hot" "$(runtime_status) $(power_state) $(served power_state)"
is "stuck: PMCSR says so, the rest of config space answers" "0x0003 0xd3c01234" "$(v read config pm+4 2) $(v read config 0 4)"
is "stuck: registers are out of reach" EIO "$(v read 0 $MAGIC)"
struck 1
is "healed: low power and back" "ok D3hot ok D0" "$(v set entry) $(settles D3hot power_state) $(v set exit) $(power_state)"
is "healed: it answers" $MAGIC_VALUE "$(v read 0 $MAGIC)"
vfio_close
is "closed: asleep" D3hot "$(settles D3hot power_state)"

fault "d-state d3hot d0" stuck
dmesg -c >/dev/null
vfio_open "stuck: it opens"
warned "stuck: it refuses" "$refused"
is "stuck: the reset of the open brings it to D0, which the kernel does not notice" "D0 D3hot" "$(served power_state) $(power_state)"
is "stuck: registers are out of reach for the client" EIO "$(v read 0 $MAGIC)"
is "stuck: the client's reset" "ok D0" "$(v reset) $(power_state)"
is "stuck: then it answers" "ok $MAGIC_VALUE" "$(v write config 4 6 2) $(v read 0 $MAGIC)"
ctl fault clear >/dev/null
vfio_close
