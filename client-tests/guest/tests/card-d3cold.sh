# The functions of a card share a power resource: the guest cuts the power when the second of both lets go of it, whichever that is.
# profile: card-d3cold.toml
# functions: 2
# ssdt: controller
# port: x-speed=5
# machine: -device intel-iommu,caching-mode=on
# kernel: intel_iommu=on
# limit: 300

DISPLAY=$BDF AUDIO=${BDF%.0}.1
AUDIO_DEV=/sys/bus/pci/devices/$AUDIO

# on FUNCTION COMMAND...: the client's answer for that function.
on() {
    selected=$(v function "$1")
    shift
    [ "$selected" = ok ] || { echo "not selected: $selected"; return; }
    v "$@"
}
status_of() { cat "/sys/bus/pci/devices/$1/power/runtime_status"; }
state_of() { cat "/sys/bus/pci/devices/$1/power_state"; }
rail() { served rail; }

# powerless TEXT: neither function has power, as guest and daemon see it.
powerless() {
    is "$1: the rail goes off" false "$(settles false rail)"
    is "$1: the guest counts both as D3cold" "D3cold D3cold" "$(settles D3cold state_of $DISPLAY) $(settles D3cold state_of $AUDIO)"
    is "$1: the daemon agrees" "D3cold D3cold" "$(served power_state) $(served_of 1 power_state)"
}
# fill TEXT: both functions hold a value in a register.
fill() {
    for function in $DISPLAY $AUDIO; do on $function write 0 $SCRATCH 0x5eed >/dev/null; done
    is "$1: both functions hold a value" "0x00005eed 0x00005eed" "$(kept)"
}
kept() { echo "$(on $DISPLAY read 0 $SCRATCH) $(on $AUDIO read 0 $SCRATCH)"; }
# headers: what the kernel restores of both functions.
headers() { for function in $DISPLAY $AUDIO; do for offset in 4 0x10 0x18; do on $function read config $offset 4; done; done | xargs; }

for function in $DISPLAY $AUDIO; do
    echo vfio-pci >/sys/bus/pci/devices/$function/driver_override
    echo $function >/sys/bus/pci/drivers_probe
done
check "the display function is the audio function's supplier" test -e "$AUDIO_DEV/supplier:pci:$DISPLAY"
powerless "both idle"

vfio_open "the display function is opened"
is "display open: the rail is on" "D0 true" "$(state_of $DISPLAY) $(rail)"
# The kernel resumes a function that can wake the system when a power resource of its own is switched on, and lets it sleep again.
is "display open: the audio function sleeps with power" "D3hot" "$(settles D3hot served_of 1 power_state)"
is "display open: the guest counts it as D3cold" "D3cold suspended" "$(state_of $AUDIO) $(status_of $AUDIO)"
is "display in low power" ok "$(v set entry)"
powerless "display in low power"
is "display awake again" "ok true" "$(v set exit) $(rail)"

is "the audio function is opened" ok "$(v function $AUDIO)"
for function in $DISPLAY $AUDIO; do is "memory of $function on" ok "$(on $function write config 4 6 2)"; done
before=$(headers)

fill "first the audio function"
is "first the audio function: low power" ok "$(on $AUDIO set entry)"
is "first the audio function: it sleeps" suspended "$(settles suspended status_of $AUDIO)"
is "first the audio function: the other one keeps the power" "D0 true D3hot" "$(state_of $DISPLAY) $(rail) $(served_of 1 power_state)"
is "first the audio function: awake again, it has kept its state" "ok 0x00005eed 0x00005eed" "$(on $AUDIO set exit) $(kept)"
is "first the audio function: low power again" ok "$(on $AUDIO set entry)"
is "first the audio function: it sleeps again" suspended "$(settles suspended status_of $AUDIO)"
is "then the display function: low power" ok "$(on $DISPLAY set entry)"
powerless "then the display function"
is "both leave low power" "ok ok" "$(on $DISPLAY set exit) $(on $AUDIO set exit)"
is "config space of both is restored" "$before" "$(headers)"
is "registers of both are lost" "0x00000000 0x00000000" "$(kept)"

fill "first the display function"
is "first the display function: low power" ok "$(on $DISPLAY set entry)"
usleep 300000
is "first the display function: its consumer keeps it awake" "active D0 true" "$(status_of $DISPLAY) $(state_of $DISPLAY) $(rail)"
is "then the audio function: low power" ok "$(on $AUDIO set entry)"
powerless "then the audio function"
is "the audio function leaves, and wakes its supplier" "ok active active D0 D0" \
    "$(on $AUDIO set exit) $(status_of $AUDIO) $(status_of $DISPLAY) $(served power_state) $(served_of 1 power_state)"
is "the display function leaves" ok "$(on $DISPLAY set exit)"
is "config space of both is restored again" "$before" "$(headers)"
is "registers of both are lost again" "0x00000000 0x00000000" "$(kept)"

# Above 5 GT/s the kernel waits for the port to report an active link, which QEMU's does not do without hot-plug.
fill "before a hot reset"
resets="$(served resets) $(served_of 1 resets)"
is "a hot reset" ok "$(on $DISPLAY hot_reset)"
is "it reaches both" "0x00000000 0x00000000" "$(kept)"
is "it counts as one for each" "$resets" "$(($(served resets) - 1)) $(($(served_of 1 resets) - 1))"
is "config space of both is restored after it" "$before" "$(headers)"

CYCLES=100
reached=0
resets=$(served resets)
for cycle in $(seq $CYCLES); do
    first=$DISPLAY
    second=$AUDIO
    [ $((cycle % 2)) = 0 ] || { first=$AUDIO && second=$DISPLAY; }
    on $first set entry >/dev/null
    on $second set entry >/dev/null
    tries=0
    while [ "$(state_of $DISPLAY) $(state_of $AUDIO)" != "D3cold D3cold" ] && [ $tries -lt 200 ]; do
        usleep 5000
        tries=$((tries + 1))
    done
    [ "$(state_of $DISPLAY) $(state_of $AUDIO) $(on $first set exit) $(on $second set exit) $(state_of $DISPLAY) $(state_of $AUDIO)" = \
        "D3cold D3cold ok ok D0 D0" ] && reached=$((reached + 1))
done
is "$CYCLES cycles: both reach D3cold and come back" $CYCLES $reached
is "$CYCLES cycles: power came back as often" $CYCLES $(($(served resets) - resets))
is "after $CYCLES cycles: both answer" "$MAGIC_VALUE $MAGIC_VALUE" "$(on $DISPLAY read 0 $MAGIC) $(on $AUDIO read 0 $MAGIC)"
vfio_close
powerless "closed"
