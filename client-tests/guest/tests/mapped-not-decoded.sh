# QEMU keeps BARs mapped by its own shadow of Command and PMCSR. A guest that touches one which the function has stopped decoding reads ones.
# violations: decode-off
# mapped: yes

soft_reset=${soft_reset:-yes}
port=$(basename "$(dirname "$(readlink -f "$DEV")")")
echo 1 >"$DEV/enable"
registers=$(for register in BASE_ADDRESS_0 BASE_ADDRESS_2 BASE_ADDRESS_4 COMMAND; do echo "$register=$(config $register)"; done)
restore() { for register in $registers; do config "$register"; done; }

# words: what the guest reads in RAM, in memory beside registers and in memory beside the MSI-X table.
words() { echo "$(memory 2 0x8000) $(memory 0 0x1000) $(memory 4 0x1000)"; }
fill() {
    memory 2 0x8000 "$1"
    memory 0 0x1000 "$1"
    memory 4 0x1000 "$1"
}
ready() {
    fill 0x5eed
    is "$1: memory holds a value before" "0x00005eed 0x00005eed 0x00005eed" "$(words)"
}
# ones TEXT: nothing answers, and what is stored is lost.
ones() {
    is "$1: the guest reads ones" "0xffffffff 0xffffffff 0xffffffff" "$(words)"
    is "$1: also in a register" 0xffffffff "$(memory 0 $SCRATCH)"
    fill 0xbad
}
# again TEXT WORD: once Command is restored.
again() {
    restore
    is "$1: afterwards" "$2 $2 $2" "$(words)"
    is "$1: the function answers" $MAGIC_VALUE "$(memory 0 $MAGIC)"
}

ready "FLR"
config CAP_EXP+8.w=8000
usleep 120000
ones "FLR"
again "FLR" 0x00000000

ready "D3hot"
config CAP_PM+4.b=03
usleep 20000
# QEMU itself answers while its shadow says D3hot.
words >/dev/null
config CAP_PM+4.b=00
usleep 20000
if [ "$soft_reset" = yes ]; then
    ones "D3hot and back"
    again "D3hot and back" 0x00000000
else
    is "D3hot and back: nothing is lost" "0x00005eed 0x00005eed 0x00005eed" "$(words)"
fi

ready "bus reset from outside"
told "the bus is reset" reset hot
ones "bus reset from outside"
again "bus reset from outside" 0x00000000

# QEMU resets the function, and its shadow with it: it answers by itself until Command is restored.
ready "bus reset by the guest"
setpci -s "$port" BRIDGE_CONTROL=40:40
usleep 20000
setpci -s "$port" BRIDGE_CONTROL=00:40
usleep 1200000
words >/dev/null
again "bus reset by the guest" 0x00000000

ready "rail"
told "the rail goes off" rail off
is "rail off: the guest reads ones" "0xffffffff 0xffffffff 0xffffffff" "$(words)"
told "the rail comes on" rail on
usleep 120000
ones "rail on again"
again "rail on again" 0x00000000
