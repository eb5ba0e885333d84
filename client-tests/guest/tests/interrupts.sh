# INTx, MSI and MSI-X reach a client of the guest's vfio-pci, stay away while the function sleeps, and come again afterwards.
# serve: --set capabilities.pm.no-soft-reset=true
# posted: no
# machine: -device intel-iommu,caching-mode=on
# kernel: intel_iommu=on

pm=$(capability "Power Management")
bind_vfio
vfio_open
is "memory and bus master on" ok "$(v write config 4 6 2)"

is "INTx is armed" ok "$(v irqs intx 1)"
is "INTx is quiet" 0 "$(v irq 0 300)"
v write 0 $IRQ_TRIGGER 0 >/dev/null
is "INTx arrives" 1 "$(v irq 0 3000)"
is "INTx is masked until the end of interrupt" 0 "$(v irq 0 300)"
is "INTx: unmask while asserted" ok "$(v unmask)"
is "INTx: comes again, its cause still stands" 1 "$(v irq 0 3000)"
v write 0 $IRQ_ACK 1 >/dev/null
is "INTx: unmask after acknowledge" ok "$(v unmask)"
is "INTx: is quiet" 0 "$(v irq 0 300)"

# Asleep by LOW_POWER_ENTRY, where the kernel masks the line; then by the user's own PMCSR write, where nobody but the function holds it back.
sleep_low_power() { is "INTx: low power" ok "$(v set entry)"; }
wake_low_power() { is "INTx: leaves low power" ok "$(v set exit)"; }
sleep_pmcsr() { is "INTx: the user writes D3hot" ok "$(v write config $((pm + 4)) 3 2)"; }
wake_pmcsr() { is "INTx: the user writes D0" ok "$(v write config $((pm + 4)) 0 2)"; }
for way in low_power pmcsr; do
    sleep_$way
    is "INTx, $way: asleep" D3hot "$(settles D3hot served power_state)"
    told "INTx, $way: asserted from outside" intx assert
    is "INTx, $way: stays away in D3hot" 0 "$(v irq 0 700)"
    is "INTx, $way: does not wake the function" D3hot "$(served power_state)"
    wake_$way
    is "INTx, $way: arrives after D3hot" 1 "$(v irq 0 3000)"
    told "INTx, $way: deasserted from outside" intx deassert
    # Without KVM, QEMU lets go of the guest's line at an access to a BAR only; until then the guest would be interrupted over and over.
    v read 0 $MAGIC >/dev/null
    is "INTx, $way: unmask after D3hot" ok "$(v unmask)"
    is "INTx, $way: is quiet after D3hot" 0 "$(v irq 0 300)"
done
v write 0 $IRQ_TRIGGER 0 >/dev/null
is "INTx: works after D3hot" 1 "$(v irq 0 3000)"
v write 0 $IRQ_ACK 1 >/dev/null
is "INTx is disarmed" ok "$(v irqs intx 0)"

# messages NAME LAST: arms vectors 0 to LAST of an index, and takes them through D3hot.
messages() {
    is "$1 is armed" ok "$(v irqs "$1" $(($2 + 1)))"
    for vector in 0 "$2"; do
        v write 0 $IRQ_TRIGGER "$vector" >/dev/null
        is "$1: vector $vector arrives" 1 "$(v irq "$vector" 3000)"
    done
    is "$1: the others stay quiet" 0 "$(v irq 1 200)"

    # Asleep by the user's own PMCSR write, where no access reaches the function.
    v write config $((pm + 4)) 3 2 >/dev/null
    is "$1: asleep" D3hot "$(served power_state)"
    is "$1: a trigger in D3hot is refused" EIO "$(v write 0 $IRQ_TRIGGER 0)"
    told "$1: raised inside the device" interrupt 1
    is "$1: nothing arrives in D3hot" "0 0 0" "$(v irq 0 300) $(v irq 1 300) $(v irq "$2" 300)"
    v write config $((pm + 4)) 0 2 >/dev/null
    is "$1: what was raised arrives after D3hot, once" "1 0" "$(v irq 1 3000) $(v irq 1 200)"
    is "$1: the others stay quiet after D3hot" "0 0" "$(v irq 0 200) $(v irq "$2" 200)"

    # Asleep by LOW_POWER_ENTRY.
    is "$1: low power" ok "$(v set entry)"
    is "$1: asleep in low power" D3hot "$(settles D3hot power_state)"
    told "$1: raised inside the sleeping device" interrupt "$2"
    is "$1: stays away in low power" 0 "$(v irq "$2" 500)"
    is "$1: does not wake the function" D3hot "$(power_state)"
    v write 0 $IRQ_TRIGGER 0 >/dev/null
    is "$1: a write in low power wakes, and both messages arrive" "1 1" "$(v irq 0 3000) $(v irq "$2" 3000)"
    is "$1: awake" ok "$(v set exit)"
    is "$1 is disarmed" ok "$(v irqs "$1" 0)"
}
messages msi 3
messages msix 15
vfio_close
