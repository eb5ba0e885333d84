# The guest's i2c-i801 without a memory BAR: it uses the I/O ports.
# drivers: yes
# profile: smbus
# posted: no
# serve: --set bar.0=

. /test/i2c.sh
i2c_attach i801_smbus i2c-smbus i2c-i801
is "there is no memory" "0x0000000000000000" "$(bar_address 0)"
i2c_transfers 20
i2c_silence
