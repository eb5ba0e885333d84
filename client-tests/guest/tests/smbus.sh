# The guest's i2c-i801 puts the SMBus host controller to sleep whenever it is idle, and loses nothing by it.
# drivers: yes
# profile: smbus
# posted: no
# limit: 1200

. /test/i2c.sh
i2c_attach i801_smbus i2c-smbus i2c-i801
i2c_sleeps_by_itself
i2c_wakes_by_pme pme
i2c_wakes_by_pme input alert

# The other protocols of the driver, by hand: nobody at an address, byte, word, blocks.
echo 0x50 >"$ADAPTER/delete_device"
is "a word is written" "" "$(i2cset -y "$BUS" 0x50 0x20 0x1234 w 2>&1)"
is "a word is read" 0x1234 "$(i2cget -y "$BUS" 0x50 0x20 w)"
is "a byte is read" 0x34 "$(i2cget -y "$BUS" 0x50 0x20)"
is "the byte after it is received" 0x12 "$(i2cget -y "$BUS" 0x50)"
i2cset -y "$BUS" 0x50 0x28 3 5 7 9 s
is "an SMBus block begins with its count" "0x04 0x03" "$(i2cget -y "$BUS" 0x50 0x28) $(i2cget -y "$BUS" 0x50 0x29)"
i2cset -y "$BUS" 0x50 0x30 3 5 7 9 i
is "an I2C block does not" "0x03 0x09" "$(i2cget -y "$BUS" 0x50 0x30) $(i2cget -y "$BUS" 0x50 0x33)"
is "nobody is at 51h" failed "$(i2cget -y "$BUS" 0x51 0 >/dev/null 2>&1 || echo failed)"
echo 24c02 0x50 >"$ADAPTER/new_device"

i2c_transfers 1000
i2c_silence
