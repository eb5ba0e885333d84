# A function that is late after a reset: the kernel waits for it and goes on, by itself and for a client of its vfio-pci.
# machine: -device intel-iommu,caching-mode=on
# kernel: intel_iommu=on

echo 1 >"$DEV/enable"
echo flr >"$DEV/reset_method"
# The kernel says nothing of the first second.
for late in 300ms "300ms rrs" 3s; do
    fault "reset flr first 1" "not-ready $late"
    memory 0 $SCRATCH 0xcafe
    dmesg -c >/dev/null
    check "late by $late: the kernel resets" sh -c "echo 1 >$DEV/reset"
    is "late by $late: the function answers, and is reset" "$MAGIC_VALUE 0x00000000" "$(memory 0 $MAGIC) $(memory 0 $SCRATCH)"
    if [ "$late" = 3s ]; then
        warned "late by $late: the kernel waits" "not ready *ms after FLR; waiting"
        warned "late by $late: and goes on" "ready *ms after FLR"
    fi
    struck 1
done
echo default >"$DEV/reset_method"
echo 0 >"$DEV/enable"

bind_vfio
fault "reset flr first 1" "not-ready 300ms"
vfio_open "late when it is opened"
struck 1
is "late when it is opened: a reset is on offer" "0x3 9 5" "$(v info)"
is "late when it is opened: it answers" "ok $MAGIC_VALUE" "$(v write config 4 6 2) $(v read 0 $MAGIC)"
fault "reset flr first 1" "not-ready 300ms"
v write 0 $SCRATCH 0xcafe >/dev/null
is "late after VFIO_DEVICE_RESET" "ok $MAGIC_VALUE 0x00000000" "$(v reset) $(v read 0 $MAGIC) $(v read 0 $SCRATCH)"
struck 1
vfio_close
