# A function falls off the bus while a client uses it. Whatever the guest does to it then, both go on; unplugged and plugged in again it works.
# serve: --set capabilities.msix=
# machine: -device intel-iommu,caching-mode=on
# kernel: intel_iommu=on
# complaints: Unable to change power state from D[03][a-z]* to D[03][a-z]*, device inaccessible
# stderr: invalid PCI interrupt pin 255

present() { if [ -e "$DEV" ]; then echo present; else echo absent; fi; }
# copy: a transfer from end to end; its status.
copy() {
    v write 0 $DMA_CTRL 1 >/dev/null
    tries=0
    while status=$(v read 0 $DMA_STATUS) && [ "$status" != 0xffffffff ] && [ $((status & 1)) = 1 ] && [ $tries -lt 60 ]; do
        usleep 50000
        tries=$((tries + 1))
    done
    echo "$status"
}

bind_vfio
vfio_open
is "memory and bus master on" ok "$(v write config 4 6 2)"
is "a buffer" ok "$(v buffer 0x10000000 0x100000)"
is "MSI" ok "$(v irqs msi 1)"
is "the client wants to hear when it has to let go" ok "$(v set_irqs req trigger+event 0 1)"
v write 0 $DMA_SRC 0x10000000 8 >/dev/null
v write 0 $DMA_DST 0x10080000 8 >/dev/null
v write 0 $DMA_LEN 0x40000 >/dev/null
v write 0 $DMA_COUNT 1 >/dev/null

fault "dma nth 20" "gone for-ever"
statuses=$(for _ in $(seq 25); do copy; done | sort | uniq -c | xargs)
is "19 copies are done, then all read ones" "19 0x00000002 6 0xffffffff" "$statuses"
is "the fault has struck" 1 "$(field struck "$(ctl fault list)")"
is "gone: config space" "0xffff ffff" "$(v read config 6 2) $(config VENDOR_ID.w)"
is "gone: writes are lost" "ok 0xffffffff" "$(v write 0 $SCRATCH 1) $(v read 0 $SCRATCH)"
is "gone: LOW_POWER_ENTRY" "ok suspended" "$(v set entry) $(settles suspended runtime_status)"
is "gone: LOW_POWER_EXIT" ok "$(v set exit)"
warned "gone: the kernel cannot put it to sleep" "Unable to change power state from D0 to D3hot, device inaccessible"
warned "gone: nor wake it" "Unable to change power state from D3cold to D0, device inaccessible"
is "gone: D3cold for the kernel" "D3cold EIO" "$(power_state) $(v read 0 $MAGIC)"

like "unplugged" '*"return"*' "$(ask unplug)"
is "unplugged: the client is asked to let go" 1 "$(v irq 0 5000)"
is "unplugged: it stays while the client holds it" present "$(present)"
vfio_close
is "let go: it is gone" absent "$(settles absent present)"
is "back on the bus" '{"id":1,"ok":{}}' "$(ctl fault clear)"
usleep 500000
like "plugged in again" '*"return"*' "$(ask plug)"
is "plugged in again: it is there" present "$(settles present present)"
usleep 500000
echo 1 >"$DEV/enable"
is "plugged in again: it answers" $MAGIC_VALUE "$(memory 0 $MAGIC)"
