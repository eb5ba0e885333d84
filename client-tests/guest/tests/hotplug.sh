# The function is unplugged and plugged again while the guest runs; without MSI-X, with which this QEMU cannot unplug.
# serve: --set capabilities.msix=

present() { if [ -e "$DEV" ]; then echo present; else echo absent; fi; }

echo 1 >"$DEV/enable"
is "it answers" $MAGIC_VALUE "$(memory 0 $MAGIC)"
for round in first second; do
    like "$round: unplugged" '*"return"*' "$(ask unplug)"
    is "$round: it is gone" absent "$(settles absent present)"
    usleep 500000
    like "$round: plugged" '*"return"*' "$(ask plug)"
    is "$round: it is back" present "$(settles present present)"
    usleep 500000
    echo 1 >"$DEV/enable"
    is "$round: it answers again" $MAGIC_VALUE "$(memory 0 $MAGIC)"
    config CAP_PM+4.w=0003
    is "$round: it sleeps" D3hot "$(served power_state)"
    config CAP_PM+4.w=0000
    is "$round: it wakes" D0 "$(served power_state)"
done
