# What the tests of I2C controllers share. On the bus of the function there are an EEPROM at 50h and a thermometer at 48h.
# shellcheck shell=sh

# i2c_attach DRIVER MODULE...: loads the modules, of which the last one finds the function, and the drivers of the targets.
i2c_attach() {
    want=$1
    shift
    for module in at24 lm75 i2c-dev "$@"; do load "$module"; done
    is "the driver is bound" "$want" "$(driver)"
    BUS=$(basename "$(ls -d "$DEV"/i2c-*)")
    ADAPTER=$DEV/$BUS
    BUS=${BUS#i2c-}
    EEPROM=$ADAPTER/$BUS-0050/eeprom
    echo 24c02 0x50 >"$ADAPTER/new_device"
    echo lm75 0x48 >"$ADAPTER/new_device"
}

# eeprom_put ADDRESS TEXT, eeprom_get ADDRESS COUNT: through the kernel's own driver for the memory. ADDRESS is a multiple of COUNT.
eeprom_put() { printf '%s' "$2" | dd of="$EEPROM" bs=1 seek="$1" conv=notrunc 2>/dev/null; }
eeprom_get() { dd if="$EEPROM" bs="$2" skip=$(($1 / $2)) count=1 2>/dev/null; }

temperature() { cat "$ADAPTER/$BUS-0048"/hwmon/hwmon*/temp1_input; }

# asleep TEXT [STATE]: the function goes to sleep by itself, as guest and daemon see it.
asleep() {
    state=${2:-D3hot}
    is "$1: $state" "$state" "$(settles "$state" power_state)"
    is "$1: the daemon agrees" "$state" "$(served power_state)"
}

# i2c_silence: the kernel has warned of nothing that has to do with the function, its driver or what is on its bus.
i2c_silence() {
    is "the kernel warns of nothing" "" "$(dmesg -r | grep '^<[0-4]>' | grep -E "$BDF|i2c|at24|lm75" | grep -v 'using dummy regulator' | head -n 3)"
}

# pm_time STATE: milliseconds that the guest's PM core counts the function as active or suspended.
pm_time() { cat "$DEV/power/runtime_$1_time"; }

# within TEXT PERCENT A B
within() {
    difference=$((($3 - $4) * 100))
    [ $difference -ge 0 ] || difference=$((-difference))
    if [ $difference -le $(($2 * $4)) ]; then ok "$1"; else fail "$1" "$3 and $4 differ by more than $2 %"; fi
}

# i2c_wakes TEXT WANT COMMAND...: a transfer that wakes the function, which sleeps again after its delay.
i2c_wakes() {
    text=$1 want=$2
    shift 2
    sleep 3
    start=$(uptime_ms)
    is "$text" "$want" "$("$@")"
    is "$text: in D0" D0 "$(power_state)"
    asleep "after $text"
    slow=$(($(uptime_ms) - start))
    if [ $slow -ge 1000 ]; then ok "after $text: not within a second"; else fail "after $text: not within a second" "asleep after $slow ms"; fi
}

# i2c_sleeps_by_itself: the function goes to D3hot a second after a transfer, and comes back for the next one. Guest and daemon count
# the time alike.
i2c_sleeps_by_itself() {
    asleep "idle after the driver was bound"
    is "the delay is the driver's" 1000 "$(cat "$DEV/power/autosuspend_delay_ms")"
    suspended=$(pm_time suspended) slept=$(served D3hot)
    i2c_wakes "writing the memory" "" eeprom_put 0 "good day"
    i2c_wakes "reading the memory" "good day" eeprom_get 0 8
    i2c_wakes "reading the thermometer" 25000 temperature
    within "guest and daemon have counted the same sleep" 5 $(($(served D3hot) - slept)) $(($(pm_time suspended) - suspended))
}

# i2c_transfers COUNT: a byte goes to the memory and back, with a sleep before each way.
i2c_transfers() {
    awake=0
    rm -f /tmp/sent /tmp/back
    echo 1 >"$DEV/power/autosuspend_delay_ms"
    for number in $(seq 0 $(($1 / 2 - 1))); do
        # At the end of the memory, from its beginning on, with other bytes.
        [ $((number % 256)) != 0 ] || exec 8<>"$EEPROM" 9<"$EEPROM"
        byte=$(((number * 37 + number / 256) % 256))
        byte="\\$((byte / 64))$((byte / 8 % 8))$((byte % 8))"
        sleeps_soon || awake=$((awake + 1))
        # shellcheck disable=SC2059
        printf "$byte" >&8
        # shellcheck disable=SC2059
        printf "$byte" >>/tmp/sent
        sleeps_soon || awake=$((awake + 1))
        dd bs=1 count=1 <&9 >>/tmp/back 2>/dev/null
    done
    exec 8>&- 9<&-
    echo 1000 >"$DEV/power/autosuspend_delay_ms"
    is "$1 transfers: before each the function sleeps" 0 $awake
    is "$1 transfers: $(($1 / 2)) bytes were sent" $(($1 / 2)) "$(wc -c </tmp/sent)"
    is "$1 transfers: every byte is right" "" "$(cmp -l /tmp/sent /tmp/back 2>&1 | head -n 3)"
}

# sleeps_soon: waits for D3hot, at most 5 s.
sleeps_soon() {
    tries=0
    while read -r state <"$DEV/power_state" && [ "$state" != D3hot ]; do
        tries=$((tries + 1))
        [ $tries -lt 1000 ] || return
        usleep 5000
    done
}

# i2c_wakes_by_pme VERB...: a wake event in D3hot wakes the driver if PME is enabled, which then goes back to sleep.
i2c_wakes_by_pme() {
    asleep "before '$*'"
    is "'$*': the kernel has enabled PME" 0x103 "$(printf 0x%x $((0x$(pmcsr) & 0x8103)))"
    active=$(pm_time active)
    told "'$*' in D3hot" "$@"
    is "'$*': the kernel notices, and the driver wakes" D0 "$(settles D0 power_state)"
    asleep "after '$*'"
    is "'$*': PME_Status is cleared, PME enabled" 0x103 "$(printf 0x%x $((0x$(pmcsr) & 0x8103)))"
    if [ $(($(pm_time active) - active)) -ge 900 ]; then ok "'$*': the driver was awake for its delay"; else fail "'$*': the driver was awake for its delay" "$(pm_time active), before $active"; fi

    config CAP_PM+5.b=00
    active=$(pm_time active)
    told "'$*' in D3hot with PME disabled" "$@"
    sleep 3
    is "'$*' with PME disabled: still asleep" "D3hot D3hot" "$(power_state) $(served power_state)"
    is "'$*' with PME disabled: never woke" "$active" "$(pm_time active)"
    config CAP_PM+5.b=01
}
