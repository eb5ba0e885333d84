# QEMU without shared memory: the function works, its DMA does not, and the daemon says which option is missing.
# memory: private
# machine: -device intel-iommu,caching-mode=on
# kernel: intel_iommu=on

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
is "a buffer" ok "$(v buffer 0x10000000 0x2000)"
v fill 0x10000000 0x1000 1 >/dev/null
v write 0 $DMA_SRC 0x10000000 8 >/dev/null
v write 0 $DMA_DST 0x10001000 8 >/dev/null
v write 0 $DMA_LEN 0x1000 >/dev/null
v write 0 $DMA_COUNT 1 >/dev/null
v write 0 $DMA_CTRL 1 >/dev/null
usleep 300000
is "a copy ends in an error" 4 "$(($(v read 0 $DMA_STATUS) & 5))"
is "the daemon names the missing option, once" 1 "$(ask log 'share=on')"
vfio_close
