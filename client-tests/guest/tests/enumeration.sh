# The guest finds the function whole: all bytes of config space, capability lists that end, and what lspci makes of them.

. /test/lspci.sh

is "the config space has ${size:=4096} bytes" "$size" "$(wc -c <"$DEV/config")"
is "vendor and device are the profile's" "$(head -n 1 /test/lspci | cut -d' ' -f3)" "$(lspci -n -s "$BDF" 2>/dev/null | cut -d' ' -f3)"
is "no driver is bound" "" "$(readlink "$DEV/driver")"
is "a function at rest is in D0" D0 "$(power_state)"

like "the capability list can be walked" "[1-9]*" "$(walk "0x$(config CAPABILITIES.b)" 8 w)"
if [ "$size" = 4096 ] && [ "$(config 0x100.l)" != 00000000 ]; then
    like "the extended capability list can be walked" "[1-9]*" "$(walk 0x100 20 l)"
fi

lspci -n -xxxx -s "$BDF" 2>/dev/null >/tmp/config-space

is "the BARs are of the profile's types" "$(bar_types /test/config-space)" "$(bar_types /tmp/config-space)"

lspci -i /dev/null -n -F - -vvv </tmp/config-space 2>/dev/null | normalised >/tmp/inside
normalised </test/lspci >/tmp/outside
check "lspci -vvv in the guest decodes the same as outside" diff /tmp/outside /tmp/inside
