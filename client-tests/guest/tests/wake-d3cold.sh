# A wake event in D3cold reaches the guest: the platform controller tells firmware, which notifies the function, and the kernel wakes it.
# mapped: never
# ssdt: controller
# serve: --set platform.delays=enforce
# machine: -device intel-iommu,caching-mode=on
# kernel: intel_iommu=on
# limit: 240

with_aux_power=${with_aux_power:-true}
check "the kernel has bound the event device" grep -q ACPI:Ged /proc/interrupts

# asleep TEXT: the function has lost its power, as guest and daemon see it.
asleep() {
    is "$1: D3cold" D3cold "$(settles D3cold power_state)"
    is "$1: the rail is off" false "$(settles false served rail)"
}

bind_vfio
asleep "idle under vfio-pci"
vfio_open
is "open: the rail is on" "D0 true" "$(power_state) $(served rail)"

# An access wakes the client by its eventfd with and without auxiliary power: the controller has no part in it.
is "LOW_POWER_ENTRY_WITH_WAKEUP" ok "$(v set wakeup)"
asleep "armed"
is "armed: nobody wakes it" 0 "$(v woken 300)"
if [ $with_aux_power = false ]; then
    told "without auxiliary power: PME is raised" pme
    is "without auxiliary power: nobody hears of it" 0 "$(v woken 2500)"
    asleep "without auxiliary power: after PME"
    is "without auxiliary power: an access wakes it" "$MAGIC_VALUE 1" "$(v read 0 $MAGIC) $(v woken 1000)"
    is "without auxiliary power: EXIT" ok "$(v set exit)"
    vfio_close
else
    told "PME is raised" pme
    is "PME wakes the client" 1 "$(v woken 2000)"
    is "woken: D0, the rail is on" "D0 true" "$(power_state) $(served rail)"
    is "woken: the kernel has taken PME_Status" false "$(field pme_status "$(ctl inspect)")"
    is "woken: it is told once" 0 "$(v woken 300)"
    is "woken: the function answers" $MAGIC_VALUE "$(v read 0 $MAGIC)"
    is "woken: EXIT" ok "$(v set exit)"

    CYCLES=100
    once=0
    for _ in $(seq $CYCLES); do
        v set wakeup >/dev/null
        tries=0
        while [ "$(power_state)" != D3cold ] && [ $tries -lt 400 ]; do
            usleep 5000
            tries=$((tries + 1))
        done
        before=$(power_state)
        ctl pme >/dev/null
        [ "$before $(v woken 2000) $(power_state) $(v woken 20) $(v set exit)" = "D3cold 1 D0 0 ok" ] && once=$((once + 1))
    done
    is "$CYCLES times: PME in D3cold wakes the client exactly once" $CYCLES $once
    is "after $CYCLES times: the function answers" $MAGIC_VALUE "$(v read 0 $MAGIC)"
    vfio_close
fi
asleep "closed"
