# The guest cuts the function's power: D3cold under its vfio-pci, by a power resource that writes letters.
# ssdt: yes
# serve: --set platform.delays=enforce
# limit: 300
# machine: -device intel-iommu,caching-mode=on
# kernel: intel_iommu=on

pm=$(capability "Power Management")
pcie=$(capability "Express")
# Only with auxiliary power does the function offer PME from D3cold, and keep what belongs to it.
with_aux_power=${with_aux_power:-true}
pme_from_d3cold=$(case $(config CAP_PM+2.w) in [89a-f]*) echo true ;; *) echo false ;; esac)
is "PME from D3cold is on offer with auxiliary power only" $with_aux_power "$pme_from_d3cold"

# at_daemon FIELD: what the function itself holds, powered or not.
at_daemon() { field "$1" "$(ctl inspect)"; }
# asleep TEXT: the function has lost its power, as guest and daemon see it.
asleep() {
    is "$1: D3cold" D3cold "$(settles D3cold power_state)"
    is "$1: the rail is off" false "$(settles false served rail)"
    is "$1: the daemon agrees" D3cold "$(served power_state)"
}
# header: what the kernel has to restore, and did so before vfio-pci lets anybody look.
header() { for offset in 4 0x10 0x18 0x20 $((pcie + 8)); do v read config $offset 2; done | xargs; }

bind_vfio
asleep "idle under vfio-pci"
is "idle under vfio-pci: suspended" suspended "$(settles suspended runtime_status)"

vfio_open
is "open: D0" "D0 D0" "$(power_state) $(served power_state)"
is "open: the rail is on" true "$(served rail)"
is "memory and bus master on" ok "$(v write config 4 6 2)"
is "Correctable Error Reporting on" ok "$(v write config $((pcie + 8)) $(($(v read config $((pcie + 8)) 2) | 1)) 2)"
is "map BAR 2" ok "$(v map 2)"
before=$(header)
fill() {
    v write 0 $SCRATCH 0x5eed >/dev/null
    v write 2 0x8000 0x5eed >/dev/null
    is "$1: registers and RAM hold a value" "0x00005eed 0x00005eed" "$(v read 0 $SCRATCH) $(v read 2 0x8000)"
}

fill "before low power"
is "LOW_POWER_ENTRY" ok "$(v set entry)"
asleep "low power"
answer=$(ctl host-access)
is "low power: config space is all ones at the daemon" "65535 65535 65535" \
    "$(field vendor_id "$answer") $(field device_id "$answer") $(field command "$answer")"
is "low power: a mapped access faults" SIGBUS "$(v peek 2 0x8000)"
is "low power: and leaves it asleep" "D3cold false" "$(power_state) $(served rail)"
is "low power: PME_En outlives the rail with auxiliary power only" $with_aux_power "$(at_daemon pme_en)"
is "low power: a read wakes it for its duration" $MAGIC_VALUE "$(v read 0 $MAGIC)"
asleep "after the read"
is "LOW_POWER_EXIT" ok "$(v set exit)"
is "awake: D0" "D0 D0" "$(power_state) $(served power_state)"
is "awake: the rail is on" true "$(served rail)"
is "awake: config space is restored" "$before" "$(header)"
is "awake: registers and RAM are lost" "0x00000000 0x00000000" "$(v read 0 $SCRATCH) $(v read 2 0x8000)"
is "awake: a mapped read" 0x00000000 "$(v peek 2 0x8000)"

fill "before a wake-up by access"
is "LOW_POWER_ENTRY_WITH_WAKEUP" ok "$(v set wakeup)"
asleep "armed"
is "armed: no wake-up yet" 0 "$(v woken 300)"
is "armed: an access succeeds" $MAGIC_VALUE "$(v read 0 $MAGIC)"
is "armed: and fires the wake-up" 1 "$(v woken 1000)"
is "woken: stays in D0" "D0 true" "$(usleep 300000; power_state) $(served rail)"
is "woken: config space is restored" "$before" "$(header)"
is "woken: registers and RAM are lost" "0x00000000 0x00000000" "$(v read 0 $SCRATCH) $(v read 2 0x8000)"
is "woken: a further access fires nothing" "$MAGIC_VALUE 0" "$(v read 0 $MAGIC) $(v woken 200)"
is "woken: EXIT" ok "$(v set exit)"

# On a bare machine the platform notices WAKE# and firmware notifies the kernel. Neither vfio-user nor this table carries that, and the kernel
# does not poll what is in D3cold: the wake event stays in the function.
is "sleep until PME" ok "$(v set wakeup)"
asleep "before PME"
told "PME is raised from outside" pme
is "PME in D3cold wakes nobody here" 0 "$(v woken 2500)"
asleep "after PME"
is "PME in D3cold is kept with auxiliary power only" $with_aux_power "$(at_daemon pme_status)"
is "after PME: an access wakes" "$MAGIC_VALUE 1" "$(v read 0 $MAGIC) $(v woken 1000)"
is "after PME: the kernel has taken PME_Status" false "$(at_daemon pme_status)"
is "after PME: EXIT" ok "$(v set exit)"

echo 0 >"$DEV/d3cold_allowed"
fill "d3cold_allowed is 0"
is "d3cold_allowed is 0: LOW_POWER_ENTRY" ok "$(v set entry)"
is "d3cold_allowed is 0: D3hot" "D3hot D3hot" "$(settles D3hot power_state) $(settles D3hot served power_state)"
is "d3cold_allowed is 0: the rail stays on" true "$(served rail)"
is "d3cold_allowed is 0: config space answers at the daemon" 4660 "$(field vendor_id "$(ctl host-access)")"
is "d3cold_allowed is 0: LOW_POWER_EXIT" ok "$(v set exit)"
is "d3cold_allowed is 0: config space is restored" "$before" "$(header)"
echo 1 >"$DEV/d3cold_allowed"
is "d3cold_allowed is 1: LOW_POWER_ENTRY" ok "$(v set entry)"
asleep "d3cold_allowed is 1"

vfio_close
asleep "closed in low power"
vfio_open "it opens again after a close in low power"
is "and answers" $MAGIC_VALUE "$(v read 0 $MAGIC)"

CYCLES=100
resets=$(served resets)
reached=0
for _ in $(seq $CYCLES); do
    v set entry >/dev/null
    tries=0
    while [ "$(power_state)" != D3cold ] && [ $tries -lt 100 ]; do
        usleep 5000
        tries=$((tries + 1))
    done
    [ "$(power_state) $(v set exit) $(power_state)" = "D3cold ok D0" ] && reached=$((reached + 1))
done
is "$CYCLES cycles: each reaches D3cold and comes back" $CYCLES $reached
is "$CYCLES cycles: power came back as often" $CYCLES $(($(served resets) - resets))
is "after $CYCLES cycles: the function answers" "$MAGIC_VALUE" "$(v read 0 $MAGIC)"
vfio_close
