# The same as version 3.4 with four channels.
# drivers: yes
# profile: ioat
# serve: --set identity.device-id=0x0b00 --set model.version=0x34 --set model.channels=4
# limit: 400

. /test/ioat.sh
