# The guest cuts the power of the I2C controller, and its driver programs it again each time it comes back.
# drivers: yes
# profile: i2c-designware
# ssdt: controller
# serve: --set platform.delays=enforce

. /test/i2c.sh
i2c_attach i2c-designware-pci i2c-ccgx-ucsi i2c-designware-pci
for round in 1 2 3; do
    asleep "round $round" D3cold
    is "round $round: the rail is off" false "$(served rail)"
    eeprom_put 0 "round $round"
    # Asked at once: it sleeps again after a second.
    answer=$(ctl status | without_port)
    is "round $round: D0 for a transfer" "D0 true" "$(field power_state "$answer") $(field rail "$answer")"
    asleep "round $round: after the transfer" D3cold
    is "round $round: the memory has it" "round $round" "$(eeprom_get 0 7)"
    asleep "round $round: after reading it" D3cold
    is "round $round: the thermometer" 25000 "$(temperature)"
done
i2c_silence
