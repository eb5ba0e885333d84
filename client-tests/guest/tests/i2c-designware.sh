# The guest's i2c-designware-pci puts the I2C controller to sleep whenever it is idle, and programs it again when it wakes: it is all the
# same that the registers are lost in D3hot.
# drivers: yes
# profile: i2c-designware
# limit: 1200

. /test/i2c.sh
is "D3hot takes the registers" - "$(lspci -vv -s "$BDF" 2>/dev/null | grep -o 'NoSoftRst[+-]' | grep -o '.$')"
i2c_attach i2c-designware-pci i2c-ccgx-ucsi i2c-designware-pci
is "with an MSI" 1 "$(find "$DEV/msi_irqs" -type f | wc -l)"
i2c_sleeps_by_itself
i2c_wakes_by_pme pme
i2c_transfers 1000
is "nobody is at 51h" failed "$(i2cget -y "$BUS" 0x51 0 >/dev/null 2>&1 || echo failed)"
i2c_silence
