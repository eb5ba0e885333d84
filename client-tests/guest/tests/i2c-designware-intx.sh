# The guest's i2c-designware-pci with INTx instead of an MSI.
# drivers: yes
# profile: i2c-designware
# posted: no
# serve: --set capabilities.msi=

. /test/i2c.sh
i2c_attach i2c-designware-pci i2c-ccgx-ucsi i2c-designware-pci
is "without messages" missing "$([ -e "$DEV/msi_irqs" ] || echo missing)"
i2c_transfers 20
i2c_silence
