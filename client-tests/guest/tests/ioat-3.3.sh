# The same as version 3.3 with two channels.
# drivers: yes
# profile: ioat
# serve: --set identity.device-id=0x0c52 --set model.channels=2
# limit: 400

. /test/ioat.sh
