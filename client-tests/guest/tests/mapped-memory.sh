# QEMU maps memory that lies beside registers and beside an MSI-X table: only the registers take messages, and sleep takes everything away.
# mapped: yes

echo 1 >"$DEV/enable"

# requests_for BAR OFFSET VALUE: how many requests it takes the guest to write the value and to read it back, or what it read instead.
requests_for() {
    before=$(served requests)
    memory "$1" "$2" "$3"
    got=$(memory "$1" "$2")
    if [ "$got" = "$3" ]; then echo $(($(served requests) - before)); else echo "$got"; fi
}
is "the function answers" $MAGIC_VALUE "$(memory 0 $MAGIC)"
is "a register takes a request for each access" 2 "$(requests_for 0 $SCRATCH 0x00005eed)"
is "memory beside registers takes none" 0 "$(requests_for 0 0x1000 0x0000a11a)"
is "up to its end" 0 "$(requests_for 0 0x1ffc 0x0000a11b)"
is "a BAR that is memory takes none" 0 "$(requests_for 2 0xfffc 0x0000a11c)"
is "memory beside the MSI-X table takes none" 0 "$(requests_for 4 0x1000 0x0000a11d)"
is "the registers are where they were" 0x00005eed "$(memory 0 $SCRATCH)"

is "D3hot loses registers and RAM" "lost lost" "$(memory_kept)"
is "and the memory beside registers" 0x00000000 "$(memory 0 0x1000)"
is "which is mapped again" 0 "$(requests_for 0 0x1000 0x0000a11e)"
