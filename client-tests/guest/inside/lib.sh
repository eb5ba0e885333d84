# What every test can use inside the guest. Descriptor 5 leads to the host half: each line on it is a verb with its arguments, and the verbs
# that ask something get one line back.
# shellcheck shell=sh

# The function under test sits behind the first root port.
BDF=0000:01:00.0
DEV=/sys/bus/pci/devices/$BDF

# --- talking to the host ---------------------------------------------------------------------------------------------------------------

tell() { printf '%s\n' "$*" >&5; }

ask() {
    tell "$@"
    read -r answer <&5
    printf '%s\n' "$answer"
}

# ctl VERB...: asks the daemon's control socket; prints its JSON on one line, after "failed: " if it refused.
ctl() { ask ctl "$(tabbed "$@")"; }

# ctl_of NUMBER VERB...: likewise, of another function of the card.
ctl_of() { ask ctl-of "$(tabbed "$@")"; }

# tabbed WORD...: words may have spaces within.
tabbed() { (IFS='	' && printf '%s' "$*"); }

# field NAME JSON: the first value of that name, strings without their quotes.
field() { printf '%s\n' "$2" | grep -o "\"$1\": *\(\"[^\"]*\"\|[^],}]*\)" | head -n 1 | sed 's/^[^:]*: *//; s/"//g; s/ *$//'; }

# served NAME: that field of the daemon's status, which also has fields of these names for the port above.
served() { field "$1" "$(ctl status | without_port)"; }
without_port() { sed 's/"port": *{[^}]*}//'; }

# served_of NUMBER NAME: that field of the status of another function of the card.
served_of() { field "$2" "$(ctl_of "$1" status | without_port)"; }

# --- checks ----------------------------------------------------------------------------------------------------------------------------

ok() { tell ok "$1"; }
fail() { tell "fail $1	$(printf '%s' "$2" | tr '\n\t' '  ')"; }

# is TEXT WANT GOT
is() { if [ "$2" = "$3" ]; then ok "$1"; else fail "$1" "want '$2', got '$3'"; fi; }

# like TEXT PATTERN GOT: PATTERN is a shell pattern.
like() {
    # shellcheck disable=SC2254
    case $3 in
    $2) ok "$1" ;;
    *) fail "$1" "want '$2', got '$3'" ;;
    esac
}

# check TEXT COMMAND...: the command succeeds.
check() {
    text=$1
    shift
    if output=$("$@" 2>&1); then ok "$text"; else fail "$text" "'$*' said: $output"; fi
}

# told TEXT VERB...: the daemon's control socket does as it is asked.
told() {
    text=$1
    shift
    answer=$(ctl "$@")
    case $answer in
    failed:*) fail "$text" "$answer" ;;
    *) ok "$text" ;;
    esac
}

# fault WHEN WHAT [NAME]: sets a fault, by that name or "fault".
fault() { told "fault: $1: $2" fault add --name "${3:-fault}" --when "$1" --what "$2"; }

# struck COUNT: that often the fault has struck; it is removed.
struck() {
    is "the fault has struck" "$1" "$(field struck "$(ctl fault list)")"
    ctl fault clear >/dev/null
}

# warned TEXT PATTERN: the kernel says so of the function (a shell pattern for a line of dmesg from behind the address on).
warned() {
    said=$(dmesg | sed -n "s/.*$BDF: //p")
    # shellcheck disable=SC2254
    while read -r line; do
        case $line in $2) ok "$1" && return ;; esac
    done <<SAID
$said
SAID
    fail "$1" "want '$2', got '$said'"
}

# settles WANT COMMAND...: repeats the command until it prints WANT, for at most 5 s; prints what it printed last.
settles() {
    want=$1
    shift
    tries=0
    while got=$("$@" 2>&1) && [ "$got" != "$want" ] && [ $tries -lt 100 ]; do
        usleep 50000
        tries=$((tries + 1))
    done
    printf '%s\n' "$got"
}

uptime_ms() { awk '{ print int($1 * 1000) }' /proc/uptime; }

# --- the function, with its driver -----------------------------------------------------------------------------------------------------

# load MODULE [PARAMETER...]: a module that setup brought along.
load() {
    module=$1
    shift
    check "$module is loaded" insmod "/modules/$module.ko" "$@"
}

# driver: the name of the driver that the function is bound to.
driver() { basename "$(readlink "$DEV/driver")"; }

# --- the function, without a driver ----------------------------------------------------------------------------------------------------

power_state() { cat "$DEV/power_state"; }
runtime_status() { cat "$DEV/power/runtime_status"; }

# config REGISTER[=VALUE]: setpci on the function under test.
config() { setpci -s "$BDF" "$1"; }
pmcsr() { config CAP_PM+4.w; }

# capability NAME: where the capability that lspci calls so stands.
capability() { lspci -v -s "$BDF" 2>/dev/null | sed -n "s/.*Capabilities: \[\([0-9a-f]*\)[^]]*\] $1.*/0x\1/p" | head -n 1; }

# bar_address BAR
bar_address() { awk -v line="$(($1 + 1))" 'NR == line { print $1 }' "$DEV/resource"; }

# memory BAR OFFSET [VALUE]: a 32-bit access to a memory BAR of the enabled function.
memory() {
    address=$(($(bar_address "$1") + $2))
    if [ $# = 3 ]; then
        devmem $address 32 "$3"
    else
        printf '0x%08x\n' "$(devmem $address 32)"
    fi
}

# --- testdev's registers, offsets in BAR 0 -----------------------------------------------------------------------------------------------

MAGIC=0x00 SCRATCH=0x04 IRQ_TRIGGER=0x08 PME_AFTER_MS=0x10 RESETS=0x18 IRQ_ACK=0x1c
DMA_SRC=0x20 DMA_DST=0x28 DMA_LEN=0x30 DMA_COUNT=0x34 DMA_CTRL=0x38 DMA_STATUS=0x3c
MAGIC_VALUE=0x504d4456

# memory_kept: takes testdev through D3hot and back without a driver; prints "kept" or "lost" for a register, then for RAM. Nobody but this
# function restores what a soft reset takes from the header.
memory_kept() {
    echo 1 >"$DEV/enable"
    memory 0 $SCRATCH 0x5eed
    memory 2 0x8000 0x5eed
    [ "$(memory 0 $SCRATCH) $(memory 2 0x8000)" = "0x00005eed 0x00005eed" ] || echo "the values do not stay even in D0;"
    registers=$(for register in BASE_ADDRESS_0 BASE_ADDRESS_2 COMMAND; do echo "$register=$(config $register)"; done)
    config CAP_PM+4.b=03
    usleep 10000
    config CAP_PM+4.b=00
    usleep 10000
    for register in $registers; do config "$register"; done
    for word in $(memory 0 $SCRATCH) $(memory 2 0x8000); do
        case $word in
        0x00005eed) echo kept ;;
        0x00000000) echo lost ;;
        *) echo "$word" ;;
        esac
    done | xargs
}

# --- the guest's vfio-pci --------------------------------------------------------------------------------------------------------------

bind_vfio() {
    echo vfio-pci >"$DEV/driver_override"
    echo "$BDF" >/sys/bus/pci/drivers_probe
}

# vfio_open: starts the client; `v COMMAND...` then sends it one command and prints the answer (see vfio_client.c), vfio_close ends it.
vfio_open() {
    rm -f /tmp/to_client /tmp/from_client
    mkfifo /tmp/to_client /tmp/from_client
    vfio_client "$BDF" </tmp/to_client >/tmp/from_client 5>&- &
    vfio_client=$!
    exec 6>/tmp/to_client 7</tmp/from_client
    read -r answer <&7
    is "${1:-vfio-pci opens the function}" ok "$answer"
}

v() {
    printf '%s\n' "$*" >&6
    answer="no answer, the client is gone"
    read -r answer <&7
    printf '%s\n' "$answer"
}

vfio_close() {
    exec 6>&- 7<&-
    wait "$vfio_client"
}

# play_scenario: bound to vfio-pci, the function answers to the scenario's steps; the host has the other answers and compares.
play_scenario() {
    bind_vfio
    is "idle under vfio-pci" suspended "$(settles suspended runtime_status)"
    vfio_open
    tell answer ok
    while IFS= read -r step <&8; do
        case $step in
        "daemon "*)
            # shellcheck disable=SC2086
            case $(ctl ${step#* }) in failed:*) answer=refused ;; *) answer=ok ;; esac
            ;;
        "fault "*)
            step=${step#* }
            case $(ctl fault add --when "${step%%: *}" --what "${step#*: }") in failed:*) answer=refused ;; *) answer=ok ;; esac
            ;;
        *) answer=$(v "$step") ;;
        esac
        tell answer "$answer"
    done 8</test/scenario
    vfio_close
}
