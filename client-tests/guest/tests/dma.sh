# The copy engine reads and writes guest memory through the guest's IOMMU, and only when it may.
# violations: transactions-pending
# serve: --set capabilities.pm.no-soft-reset=true
# machine: -device intel-iommu,caching-mode=on
# kernel: intel_iommu=on

SRC=0x10000000 DST=0x20000000 SIZE=0x8000

pm=$(capability "Power Management")
bind_vfio
vfio_open
is "memory and bus master on" ok "$(v write config 4 6 2)"
is "a source buffer" ok "$(v buffer $SRC $SIZE)"
is "a destination buffer" ok "$(v buffer $DST $SIZE)"

# start FROM TO LENGTH COUNT CONTROL
start() {
    v write 0 $DMA_SRC "$1" 8 >/dev/null
    v write 0 $DMA_DST "$2" 8 >/dev/null
    v write 0 $DMA_LEN "$3" >/dev/null
    v write 0 $DMA_COUNT "$4" >/dev/null
    v write 0 $DMA_CTRL "$5" >/dev/null
}
# outcome: how the copy ended: "done", or the error code of DMA_STATUS.
outcome() {
    tries=0
    while status=$(v read 0 $DMA_STATUS) && [ $((status & 1)) = 1 ] && [ $tries -lt 60 ]; do
        usleep 50000
        tries=$((tries + 1))
    done
    case $((status & 7)) in
    2) echo "done" ;;
    4 | 6) echo "error $((status >> 8 & 0xff))" ;;
    *) echo "status $status" ;;
    esac
}
UNMAPPED="error 1" BUS_MASTER_OFF="error 3" ABORTED="error 4"

v fill $SRC $SIZE 7 >/dev/null
start $SRC $DST $SIZE 1 1
is "a copy is done" "done" "$(outcome)"
is "every byte arrived" ok "$(v compare $DST $SIZE 7)"

is "MSI-X is armed" ok "$(v irqs msix 16)"
v fill $SRC $SIZE 90 >/dev/null
start $SRC $((DST + 0x801)) 0x1003 1 0x503
is "a copy with an interrupt: it arrives at its vector" 1 "$(v irq 5 3000)"
is "a copy with an interrupt: every byte arrived" ok "$(v compare $((DST + 0x801)) 0x1003 90)"
is "a copy with an interrupt: what is before it stays" ok "$(v compare $DST 0x801 7)"
is "a copy with an interrupt: what is behind it stays" ok "$(v compare $((DST + 0x1804)) $((SIZE - 0x1804)) 7 0x1804)"

v write config 4 2 2 >/dev/null
start $SRC $DST $SIZE 1 1
is "Bus Master off: refused" "$BUS_MASTER_OFF" "$(outcome)"
v write config 4 6 2 >/dev/null

start 0x30000000 $DST $SIZE 1 1
is "unmapped source: refused" "$UNMAPPED" "$(outcome)"
start $SRC 0x30000000 $SIZE 1 1
is "unmapped destination: refused" "$UNMAPPED" "$(outcome)"
start $SRC $((DST + SIZE - 0x1000)) 0x2000 1 1
is "a copy that runs out of the mapping: refused" "$UNMAPPED" "$(outcome)"

v fill $SRC $SIZE 33 >/dev/null
start $SRC $DST $SIZE 1 1
is "after the errors a copy works" "done ok" "$(outcome) $(v compare $DST $SIZE 33)"

is "the destination is unmapped" ok "$(v unbuffer $DST $SIZE)"
v fill $SRC $SIZE 34 >/dev/null
start $SRC $DST $SIZE 1 1
is "taken away: refused" "$UNMAPPED" "$(outcome)"
is "taken away: the memory is as it was" ok "$(v compare $DST $SIZE 33)"

# A copy that is still at work when the function goes to sleep.
start $SRC $SRC $SIZE 0xffffffff 0x603
is "a long copy is busy" 1 "$(($(v read 0 $DMA_STATUS) & 1))"
v write config $((pm + 4)) 3 2 >/dev/null
is "asleep" D3hot "$(served power_state)"
is "asleep: no interrupt" 0 "$(v irq 6 500)"
v write config $((pm + 4)) 0 2 >/dev/null
is "after D3hot: the copy was aborted" "$ABORTED" "$(outcome)"
is "after D3hot: its interrupt arrives, once" "1 0" "$(v irq 6 3000) $(v irq 6 200)"
is "another buffer" ok "$(v buffer $DST $SIZE)"
v fill $SRC $SIZE 35 >/dev/null
start $SRC $DST $SIZE 1 1
is "after D3hot a copy works" "done" "$(outcome)"
vfio_close
