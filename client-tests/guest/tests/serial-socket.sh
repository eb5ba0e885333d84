# The same over a UNIX socket.
# drivers: yes
# profile: serial
# posted: no
# line: unix
# limit: 1200

. /test/serial.sh
