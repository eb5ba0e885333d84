# QEMU without shared memory: DMA goes by messages, also while the guest uses the function, and interrupts and low power are as ever.
# violations: transactions-pending
# serve: --set capabilities.pm.no-soft-reset=true
# memory: private
# machine: -device intel-iommu,caching-mode=on
# kernel: intel_iommu=on
# limit: 240

SRC=0x10000000 DST=0x20000000 SIZE=0x8000
TRANSFERS=40000

pm=$(capability "Power Management")
bind_vfio
vfio_open
is "the function answers" $MAGIC_VALUE "$(v read 0 $MAGIC)"
is "memory and bus master on" ok "$(v write config 4 6 2)"
is "interrupts are armed" ok "$(v irqs msix 2)"
v write 0 $IRQ_TRIGGER 1 >/dev/null
is "interrupts arrive" 1 "$(v irq 1 3000)"
is "low power" ok "$(v set entry)"
is "asleep" D3hot "$(settles D3hot power_state)"
is "awake" ok "$(v set exit)"

v write config 4 6 2 >/dev/null
is "a source buffer" ok "$(v buffer $SRC $SIZE)"
is "a destination buffer" ok "$(v buffer $DST $SIZE)"

# start FROM TO LENGTH COUNT
start() {
    v write 0 $DMA_SRC "$1" 8 >/dev/null
    v write 0 $DMA_DST "$2" 8 >/dev/null
    v write 0 $DMA_LEN "$3" >/dev/null
    v write 0 $DMA_COUNT "$4" >/dev/null
    v write 0 $DMA_CTRL 1 >/dev/null
}
status() { v read 0 $DMA_STATUS; }
busy() { [ "$(($(status) & 1))" = 1 ]; }
# outcome: "done", or the error code of DMA_STATUS.
outcome() {
    while busy; do usleep 20000; done
    case $(($(status) & 6)) in
    2) echo "done" ;;
    *) echo "error $(($(status) >> 8 & 0xff))" ;;
    esac
}

v fill $SRC $SIZE 7 >/dev/null
start $SRC $DST $SIZE 1
is "a copy is done" "done" "$(outcome)"
is "every byte arrived" ok "$(v compare $DST $SIZE 7)"
start 0x30000000 $DST $SIZE 1
is "what the guest did not map is an error" "error 1" "$(outcome)"

v fill $SRC $SIZE 90 >/dev/null
before=$(served dma_commands)
start $SRC $DST 8 $TRANSFERS
accesses=0
wrong=
while busy; do
    value=$((0x5eed0000 + accesses))
    v write 0 $SCRATCH $value >/dev/null
    [ "$(($(v read 0 $SCRATCH)))" = "$value" ] || wrong="$wrong scratch"
    [ "$(($(v read config $((pm + 4)) 2) & 3))" = 0 ] || wrong="$wrong pmcsr"
    accesses=$((accesses + 1))
done
is "$TRANSFERS copies are done" "done" "$(outcome)"
is "each was a read and a write by message" $((2 * TRANSFERS)) $(($(served dma_commands) - before))
is "the copied bytes arrived" ok "$(v compare $DST 8 90)"
is "and no others" ok "$(v compare $((DST + 8)) $((SIZE - 8)) 7 8)"
is "the guest used the function meanwhile" yes "$([ $accesses -gt 10 ] && echo yes || echo "$accesses times")"
is "and it answered right" "" "$wrong"

# A copy that is still at work when the function goes to sleep.
start $SRC $SRC $SIZE 0xffffffff
v write config $((pm + 4)) 3 2 >/dev/null
is "asleep in the middle of a copy" D3hot "$(served power_state)"
v write config $((pm + 4)) 0 2 >/dev/null
is "it was aborted" "error 4" "$(outcome)"
start $SRC $DST $SIZE 1
is "after it a copy works" "done ok" "$(outcome) $(v compare $DST $SIZE 90)"
vfio_close
late=$(served dma_replies_dropped)
is "at most the reply to the aborted copy came too late" yes "$([ "$late" -le 1 ] && echo yes || echo "$late replies")"
is "the daemon does not ask for shared memory" 0 "$(ask log 'share=on')"
