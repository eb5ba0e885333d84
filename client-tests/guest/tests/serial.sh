# The kernel's own 8250 driver takes the port; what it sends over a pseudo-terminal comes back: a dialogue, 1 MiB at full speed, and all of
# it again after a sleep.
# drivers: yes
# profile: serial
# posted: no
# line: pty
# limit: 1200

MIB=1048576

tty=/dev/$(find "$DEV/" -name 'ttyS*' | sed -n '1s/.*\///p')
is "the driver" "serial" "$(driver)"
like "it found a 16550 with FIFOs" "*$(basename "$tty") at I/O *is a 16550A*" "$(dmesg | grep "$(basename "$tty") at I/O" | tr '\n' ' ')"

# open_port: the port as descriptor 8, with hardware flow control.
open_port() {
    exec 8<>"$tty"
    stty -F "$tty" raw -echo crtscts 115200
}

# dialogue WHEN
dialogue() {
    wrong=
    for number in 1 2 3 4 5 6 7 8 9 10; do
        echo "login $number: root" >&8
        read -r -t 5 answer <&8
        [ "$answer" = "login $number: root" ] || wrong="$wrong '$answer'"
    done
    is "$1: every line of a dialogue comes back" "" "$wrong"
}

# bulk WHEN BYTES
bulk() {
    head -c "$2" /dev/urandom >/tmp/sent
    head -c "$2" <&8 >/tmp/back &
    cat /tmp/sent >&8
    wait $!
    is "$1: $2 bytes go out and come back" "$(md5sum </tmp/sent)" "$(md5sum </tmp/back)"
}

open_port
dialogue "at first"
bulk "at full speed" $MIB
echo platform >/sys/power/pm_test
echo 1 >/sys/module/suspend/parameters/pm_test_delay
check "suspend to idle, open" sh -c 'echo freeze >/sys/power/state'
dialogue "after a sleep"
bulk "after a sleep" 16384
exec 8<&-
check "suspend to idle, closed" sh -c 'echo freeze >/sys/power/state'
open_port
dialogue "after a sleep of the closed port"
exec 8<&-
