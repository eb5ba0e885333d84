# A function's config space: its lists of capabilities, and what lspci makes of it. Sourced by tests.
# shellcheck shell=sh

# walk FIRST NEXT_SHIFT WIDTH: follows a list of capabilities; prints how many there are, or where it goes astray.
walk() {
    at=$1
    seen=" "
    count=0
    while [ $((at)) != 0 ]; do
        case $seen in *" $at "*) echo "loops at $at" && return ;; esac
        seen="$seen$at "
        count=$((count + 1))
        head="0x$(config "$at.$3")"
        [ $((head & 0xff)) != 0 ] || { echo "null capability at $at" && return; }
        at=$(printf '0x%x' $(((head >> $2) & ~3)))
    done
    echo $count
}
# bar_types FILE: the low bits of the six BARs in a hex dump: memory or I/O, 32 or 64 bits, prefetchable.
bar_types() {
    sed -n 's/^0*\([12]0\): //p' "$1" | tr '\n' ' ' | tr -s ' ' '\n' | awk '
        NR % 4 == 1 && NR < 25 { low = substr($1, 2); printf "%s ", low ~ /[13579bdf]/ ? "io" : low }'
}
# What a running system changes legitimately, and nothing else, is taken out of both sides:
#   - the address on the first line;
#   - regions and ROM, and AtomicOpsCap, which lspci prints only for BARs that have addresses: outside nobody has assigned any;
#   - Command, latency timer and cache line size, and the interrupt line: firmware and kernel set them;
#   - the control registers of the PCI Express capability: the kernel tunes payload sizes, error reporting and the link;
#   - what QEMU keeps from a guest: the ARI capability, and sizes of a resizable BAR other than the present one.
normalised() {
    sed -e '1s/^[0-9a-f:.]* //' \
        -e '/^\t*$/d' \
        -e '/^\tRegion [0-9]/d; /^\tExpansion ROM/d; /AtomicOpsCap:/d' \
        -e '/^\tControl: /d; /^\tLatency: /d' \
        -e 's/ routed to IRQ .*//' \
        -e '/^\t\tDevCtl:/d; /^\t\t\tRlxdOrd/d; /^\t\t\tMaxPayload .* bytes, MaxReadReq/d' \
        -e '/^\t\tLnkCtl:/d; /^\t\t\tExtSynch/d' \
        -e '/(ARI)$/d; /^\t\tARICap:/d; /^\t\tARICtl:/d' \
        -e 's/^\(\t\tBAR [0-5]: current size: [^,]*\), supported: .*/\1/'
}
