# The guest suspends to idle with the function open in its vfio-pci, and with it idle.
# machine: -device intel-iommu,caching-mode=on
# kernel: intel_iommu=on

# The kernel goes as far as suspended devices, stays there for a second, and comes back by itself.
echo platform >/sys/power/pm_test
echo 1 >/sys/module/suspend/parameters/pm_test_delay

bind_vfio
vfio_open
v write 0 $SCRATCH 0xcafe >/dev/null
before=$(($(v read 0 $RESETS)))
check "suspend to idle, open" sh -c 'echo freeze >/sys/power/state'
is "awake: D0" D0 "$(power_state)"
is "awake: the daemon agrees" D0 "$(served power_state)"
is "it answers" $MAGIC_VALUE "$(v read 0 $MAGIC)"
is "it was asleep: its registers are lost" 0x00000000 "$(v read 0 $SCRATCH)"
is "by one soft reset" $((before + 1)) "$(($(v read 0 $RESETS)))"
vfio_close

is "idle: D3hot" D3hot "$(settles D3hot power_state)"
check "suspend to idle, suspended already" sh -c 'echo freeze >/sys/power/state'
is "still idle: D3hot" D3hot "$(settles D3hot power_state)"
vfio_open "it opens after the suspend"
is "and answers" $MAGIC_VALUE "$(v read 0 $MAGIC)"
vfio_close
