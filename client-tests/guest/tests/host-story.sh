# The story for which vfio-pci got low power: the guest switches its power resource off, the hypervisor enters low power for it, the host suspends
# the device, a tool of the host wakes it, and the guest is told, whose driver puts it to sleep again. The daemon is hypervisor and host.
# profile: gpu-display
# ssdt: controller
# serve: --set platform.rail-as=low-power
# machine: -device intel-iommu,caching-mode=on
# kernel: intel_iommu=on
# limit: 240

# "told": a host access wakes the device for good, and the guest hears of it; "again": it sleeps again, and nobody hears.
host_access=${host_access:-told}
profile_id=${profile_id:-4318}

# asleep TEXT: the guest sees D3cold, the host has suspended the device.
asleep() {
    is "$1: D3cold in the guest" D3cold "$(settles D3cold power_state)"
    is "$1: the client has engaged low power" true "$(settles true served engaged)"
    is "$1: the host has suspended the device" suspended "$(settles suspended served runtime_status)"
    is "$1: D3cold on the host" "D3cold false" "$(settles D3cold served power_state) $(served rail)"
}

# awake TEXT: the guest has the device back.
awake() {
    is "$1: D0 in the guest" D0 "$(power_state)"
    is "$1: the client has left low power" "false active true" "$(served engaged) $(served runtime_status) $(served rail)"
    is "$1: D0 on the host" D0 "$(served power_state)"
}

bind_vfio
asleep "idle under vfio-pci"
vfio_open
awake "open"
is "memory and bus master on" ok "$(v write config 4 6 2)"
command=$(v read config 4 2)

is "LOW_POWER_ENTRY_WITH_WAKEUP" ok "$(v set wakeup)"
asleep "low power"
is "low power: nobody wakes it" 0 "$(v woken 300)"

answer=$(ctl host-access)
is "a tool of the host reads config space" "$profile_id true" "$(field vendor_id "$answer") $(field woken "$answer")"
if [ "$host_access" = told ]; then
    is "host access: the guest's vfio-pci tells its client" 1 "$(v woken 2000)"
    is "host access: it is told once" 0 "$(v woken 500)"
    awake "host access: it stays awake"
    is "host access: config space is restored" "$command" "$(v read config 4 2)"
    is "host access: EXIT" ok "$(v set exit)"
    is "host access: the guest's client sleeps again" ok "$(v set wakeup)"
    asleep "after the host access"

    CYCLES=20
    once=0
    for _ in $(seq $CYCLES); do
        ctl host-access >/dev/null
        [ "$(v woken 2000) $(power_state) $(v woken 20) $(v set exit) $(v set wakeup)" = "1 D0 0 ok ok" ] &&
            [ "$(settles D3cold power_state) $(settles suspended served runtime_status)" = "D3cold suspended" ] && once=$((once + 1))
    done
    is "$CYCLES times: each host access reaches the guest exactly once" $CYCLES $once
else
    is "host access: nobody is told" 0 "$(v woken 1000)"
    asleep "host access: it sleeps again"
fi

is "LOW_POWER_EXIT" ok "$(v set exit)"
awake "at the end"
is "config space is restored" "$command" "$(v read config 4 2)"
vfio_close
asleep "closed"
