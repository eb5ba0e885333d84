# The guest reboots while the function sleeps in D3hot with PME enabled; QEMU and the daemon stay.
# boots: 2

case $(ask boot) in
1)
    echo 1 >"$DEV/enable"
    memory 0 $SCRATCH 0xcafe
    is "before the reboot: SCRATCH holds" 0x0000cafe "$(memory 0 $SCRATCH)"
    config CAP_PM+4.w=0103
    is "before the reboot: asleep" D3hot "$(served power_state)"
    reboot -f
    sleep 60
    ;;
2)
    is "after the reboot: in D0" 0 "$((0x$(pmcsr) & 3))"
    is "after the reboot: the daemon agrees" D0 "$(served power_state)"
    echo 1 >"$DEV/enable"
    is "after the reboot: it answers" $MAGIC_VALUE "$(memory 0 $MAGIC)"
    is "after the reboot: SCRATCH is lost" 0x00000000 "$(memory 0 $SCRATCH)"
    config CAP_PM+4.w=0003
    is "after the reboot: it sleeps" D3hot "$(served power_state)"
    config CAP_PM+4.w=0000
    ;;
*) fail "the guest boots twice" "it booted more often" ;;
esac
