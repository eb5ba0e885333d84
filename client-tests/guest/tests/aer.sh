# Errors of the bus: the guest reads them in the function's registers, but no message of the function's reaches its AER driver by QEMU. One
# that QEMU makes the port detect does, and the driver's recovery reaches the client of the function below.
# port: x-speed=2_5
# machine: -device intel-iommu,caching-mode=on
# kernel: intel_iommu=on

# status: the uncorrectable and correctable errors that lspci shows as detected.
status() { lspci -vvv -s "$BDF" 2>/dev/null | awk '/UESta:/ { on = 1 } /UEMsk:/ { on = 0 } /CESta:/ { on = 1 } /CEMsk:/ { on = 0 } on' | grep -o '[A-Za-z]*+' | xargs; }
detected() { lspci -vvv -s "$BDF" 2>/dev/null | sed -n 's/.*DevSta:.*\tCorrErr\(.\) NonFatalErr\(.\) FatalErr\(.\).*/\1\2\3/p; s/.*DevSta: *CorrErr\(.\) NonFatalErr\(.\) FatalErr\(.\).*/\1\2\3/p'; }
# heard: what the AER driver has said since it was last asked.
heard() { dmesg -c | sed -n 's/.*AER: //p' | sort -u; }

bind_vfio
vfio_open
is "memory and bus master on" ok "$(v write config 4 6 2)"
is "the client wants to hear of errors" ok "$(v set_irqs err trigger+event 0 1)"
dmesg -c >/dev/null

fault now "aer receiver-error" correctable
is "correctable: the function shows it" "RxErr+ +--" "$(status) $(detected)"
fault now "aer completion-timeout" non-fatal
is "non-fatal: the function shows it" "CmpltTO+ RxErr+ ++-" "$(status) $(detected)"
fault now "aer malformed-tlp" fatal
is "fatal: the function shows it" "CmpltTO+ MalfTLP+ RxErr+ HeaderOF+ +++" "$(status) $(detected)"
is "fatal: the function goes on" $MAGIC_VALUE "$(v read 0 $MAGIC)"
like "QEMU's own injection into the function is taken" '*"return": "OK*' "$(ask monitor pcie_aer_inject_error dut COMP_TIME)"
is "the client has heard of none" 0 "$(v irq 0 1000)"
is "the AER driver has heard of none" "" "$(heard)"
ctl fault clear >/dev/null

like "the port detects a fatal error" '*"return": "OK*' "$(ask monitor pcie_aer_inject_error rp0 DLP)"
is "the client hears of it" 1 "$(v irq 0 5000)"
sleep 1
like "the AER driver hears of it, and resets the link" "*Root Port link has been reset (0)*Uncorrectable (Fatal) error message received from 0000:00:01.0*" "$(heard)"
is "after the link's reset: the function answers" "ok $MAGIC_VALUE" "$(v write config 4 6 2) $(v read 0 $MAGIC)"
vfio_close
