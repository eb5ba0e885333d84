# The guest's vfio-pci puts the function to sleep and wakes it, as on a bare machine; a function that loses its state in D3hot.
# machine: -device intel-iommu,caching-mode=on
# kernel: intel_iommu=on

check "the function is there" test -e "$DEV/config"
config CAP_PM+4.w=0003
is "setpci puts it in D3hot" 3 "$((0x$(pmcsr) & 3))"
config CAP_PM+4.w=0000
is "and back in D0" 0 "$((0x$(pmcsr) & 3))"
echo 1 >"$DEV/enable"
check "the kernel resets it" sh -c "echo 1 >$DEV/reset"
echo 0 >"$DEV/enable"
pm=$(capability "Power Management")

bind_vfio
is "idle under vfio-pci: D3hot" D3hot "$(settles D3hot power_state)"
is "idle under vfio-pci: suspended" suspended "$(settles suspended runtime_status)"
is "idle under vfio-pci: the daemon agrees" D3hot "$(served power_state)"

vfio_open
is "open: D0" D0 "$(power_state)"
for name in entry wakeup exit; do
    is "PROBE of $name" ok "$(v probe $name)"
done
is "map BAR 0" ok "$(v map 0)"
is "a mapped read" $MAGIC_VALUE "$(v peek 0 $MAGIC)"

is "LOW_POWER_ENTRY" ok "$(v set entry)"
is "asleep: D3hot" D3hot "$(settles D3hot power_state)"
is "asleep: the daemon agrees" D3hot "$(served power_state)"
is "asleep: a mapped access faults" SIGBUS "$(v peek 0 $MAGIC)"
is "asleep: and leaves it asleep" D3hot "$(power_state)"
is "a second LOW_POWER_ENTRY" EINVAL "$(v set entry)"
is "LOW_POWER_ENTRY_WITH_WAKEUP after ENTRY" EINVAL "$(v set wakeup)"
is "a refused ENTRY leaves it asleep" D3hot "$(settles D3hot power_state)"
is "a read wakes it for its duration" $MAGIC_VALUE "$(v read 0 $MAGIC)"
is "and it sleeps again" D3hot "$(settles D3hot power_state)"
is "LOW_POWER_EXIT" ok "$(v set exit)"
is "awake: D0" D0 "$(settles D0 power_state)"
is "awake: a mapped read" $MAGIC_VALUE "$(v peek 0 $MAGIC)"
is "EXIT without ENTRY" ok "$(v set exit)"

is "VFIO_DEVICE_RESET" ok "$(v reset)"
is "after the reset: D0" D0 "$(power_state)"

is "the user writes PMCSR" ok "$(v write config $((pm + 4)) 3 2)"
is "then the function is in D3hot" D3hot "$(served power_state)"
is "then a BAR read is refused" EIO "$(v read 0 $MAGIC)"
is "then a mapped access faults" SIGBUS "$(v peek 0 $MAGIC)"
is "the user writes PMCSR back" ok "$(v write config $((pm + 4)) 0 2)"
is "then the BAR answers" $MAGIC_VALUE "$(v read 0 $MAGIC)"

is "LOW_POWER_ENTRY_WITH_WAKEUP" ok "$(v set wakeup)"
is "armed: asleep" D3hot "$(settles D3hot power_state)"
is "armed: no wake-up yet" 0 "$(v woken 300)"
is "armed: an access succeeds" $MAGIC_VALUE "$(v read 0 $MAGIC)"
is "armed: and fires the wake-up" 1 "$(v woken 1000)"
is "woken: stays in D0" D0 "$(usleep 300000; power_state)"
is "woken: a further access fires nothing" "$MAGIC_VALUE 0" "$(v read 0 $MAGIC) $(v woken 200)"
is "woken: EXIT" ok "$(v set exit)"

is "PME from D3hot is armed" ok "$(v write 0 $PME_AFTER_MS 1500)"
is "sleep until PME" ok "$(v set wakeup)"
is "asleep before PME" D3hot "$(settles D3hot power_state)"
is "PME fires the wake-up" 1 "$(v woken 8000)"
is "after PME: D0" D0 "$(settles D0 power_state)"
is "after PME: the BAR answers" $MAGIC_VALUE "$(v read 0 $MAGIC)"
is "after PME: EXIT" ok "$(v set exit)"

is "sleep until PME from outside" ok "$(v set wakeup)"
is "asleep before PME from outside" D3hot "$(settles D3hot power_state)"
told "PME is raised from outside" pme
is "PME from outside fires the wake-up" 1 "$(v woken 8000)"
is "after PME from outside: EXIT" ok "$(v set exit)"

is "low power once more" ok "$(v set entry)"
is "asleep once more" D3hot "$(settles D3hot power_state)"
vfio_close
is "closed: idle in D3hot" D3hot "$(settles D3hot power_state)"
is "closed: suspended" suspended "$(settles suspended runtime_status)"
vfio_open "it opens again after a close in low power"
is "and answers" $MAGIC_VALUE "$(v read 0 $MAGIC)"
vfio_close
