# Without No_Soft_Reset the SMBus host controller loses HSTCFG in D3hot. Nobody writes it again at run time: the core restores what it knows
# of config space, and i2c-i801 has no resume method of its own for that. Each transfer times out then, until the driver is bound anew.
# drivers: yes
# profile: smbus
# posted: no
# serve: --set capabilities.pm.no-soft-reset=false

. /test/i2c.sh
bind() {
    echo "$BDF" >"/sys/bus/pci/drivers/i801_smbus/$1"
}
hstcfg() { config 0x40.b; }

i2c_attach i801_smbus i2c-smbus i2c-i801
asleep "idle after the driver was bound"
for round in 1 2; do
    like "round $round: a transfer times out" "*timed out*" "$(dd if="$EEPROM" bs=1 count=1 2>&1 >/dev/null)"
    is "round $round: the host interface is off" 00 "$(hstcfg)"
    asleep "round $round: the function still sleeps by itself"
done

bind unbind
bind bind
is "bound anew: the host interface is on" 01 "$(hstcfg)"
BUS=$(basename "$(ls -d "$DEV"/i2c-*)")
BUS=${BUS#i2c-}
is "bound anew: the thermometer answers" 0x19 "$(i2cget -y "$BUS" 0x48 0)"
asleep "after that"
is "and the next transfer fails again" failed "$(i2cget -y "$BUS" 0x48 0 >/dev/null 2>&1 || echo failed)"
