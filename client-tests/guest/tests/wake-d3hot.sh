# A wake event in D3hot reaches the guest by the platform controller, not by the kernel's poll, which runs once a second and only below a port that
# is awake.
# mapped: never
# ssdt: controller
# serve: --set platform.delays=enforce
# machine: -device intel-iommu,caching-mode=on
# kernel: intel_iommu=on
# limit: 240

PORT=/sys/bus/pci/devices/0000:00:01.0

bind_vfio
vfio_open
echo 0 >"$DEV/d3cold_allowed"
# Linux keeps a port awake whose driver is bound and that has no PM capability.
echo 0000:00:01.0 >/sys/bus/pci/drivers/pcieport/unbind
echo auto >$PORT/power/control

# armed: the function sleeps in D3hot, and the port above it sleeps.
armed() { [ "$(v set wakeup) $(settles D3hot power_state) $(settles suspended cat $PORT/power/runtime_status)" = "ok D3hot suspended" ]; }

check "the function sleeps in D3hot, the port above, too" armed
is "the rail stays on" "D3hot true" "$(served power_state) $(served rail)"
is "nobody wakes it" 0 "$(v woken 300)"
told "PME is raised" pme
is "PME wakes the client" 1 "$(v woken 2000)"
is "woken: D0" "D0" "$(power_state)"
is "woken: the kernel has taken PME_Status" false "$(field pme_status "$(ctl inspect)")"
is "woken: it is told once" 0 "$(v woken 300)"
is "woken: EXIT" ok "$(v set exit)"

# On a busy machine the guest may get its turn late now and then; a poll would be within 200 ms once in five times.
CYCLES=50
once=0
soon=0
for _ in $(seq $CYCLES); do
    armed
    ctl pme >/dev/null
    woken=$(v woken 200)
    if [ "$woken" = 1 ]; then soon=$((soon + 1)); else woken=$(v woken 2000); fi
    [ "$woken $(power_state) $(v woken 20) $(v set exit)" = "1 D0 0 ok" ] && once=$((once + 1))
done
is "$CYCLES times: PME in D3hot wakes the client exactly once" $CYCLES $once
check "nearly every time within 200 ms" test $soon -ge $((CYCLES * 9 / 10))
is "after $CYCLES times: the function answers" $MAGIC_VALUE "$(v read 0 $MAGIC)"
vfio_close
