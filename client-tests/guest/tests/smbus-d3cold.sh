# The guest cuts the power of the SMBus host controller: its context is lost, No_Soft_Reset or not, and i2c-i801 does not notice.
# drivers: yes
# profile: smbus
# posted: no
# ssdt: controller
# serve: --set platform.delays=enforce

. /test/i2c.sh
i2c_attach i801_smbus i2c-smbus i2c-i801
asleep "idle after the driver was bound" D3cold
is "the rail is off" false "$(served rail)"
like "a transfer times out" "*timed out*" "$(dd if="$EEPROM" bs=1 count=1 2>&1 >/dev/null)"
is "HSTCFG is lost" 00 "$(config 0x40.b)"
asleep "after the transfer" D3cold

# Kept from the power cut, the function keeps its context; the driver has to be bound anew once.
echo 0 >"$DEV/d3cold_allowed"
echo "$BDF" >/sys/bus/pci/drivers/i801_smbus/unbind
echo "$BDF" >/sys/bus/pci/drivers/i801_smbus/bind
BUS=$(basename "$(ls -d "$DEV"/i2c-*)")
BUS=${BUS#i2c-}
asleep "without leave for D3cold" D3hot
is "the thermometer answers" 0x19 "$(i2cget -y "$BUS" 0x48 0)"
