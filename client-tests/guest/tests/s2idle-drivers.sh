# The guest suspends to idle with four functions and their drivers, and each works after it: a copy engine, a serial port, two I2C controllers.
# drivers: yes
# profile: serial
# line: pty
# beside: ioat smbus i2c-designware
# posted: no
# limit: 400

# bus DRIVER: the number of the I2C bus of the function that the driver has.
bus() { ls -d "/sys/bus/pci/drivers/$1"/*/i2c-* | sed -n '1s/.*i2c-//p'; }

# i2c WHEN NAME BUS: a byte goes to the memory at 50h of that bus and comes back.
i2c() {
    memory=/sys/bus/i2c/devices/$3-0050/eeprom
    printf '%s' "$1" | dd of="$memory" bs=1 count=8 conv=notrunc 2>/dev/null
    is "$2 $1: the memory has it" "$1" "$(dd if="$memory" bs=1 count=${#1} 2>/dev/null)"
}

# copies WHEN
copies() {
    load dmatest
    echo 200 >/sys/module/dmatest/parameters/iterations
    echo "" >/sys/module/dmatest/parameters/channel
    dmesg -c >/dev/null
    echo 1 >/sys/module/dmatest/parameters/run
    cat /sys/module/dmatest/parameters/wait >/dev/null
    is "ioat $1: 200 copies" 1 "$(dmesg | grep -c 'summary 200 tests, 0 failures')"
    rmmod dmatest
}

# terminal WHEN: a line goes over the port and comes back.
terminal() {
    exec 8<>"$tty"
    stty -F "$tty" raw -echo crtscts 115200
    echo "root $1" >&8
    read -r -t 5 answer <&8
    is "serial $1: a line comes back" "root $1" "$answer"
    exec 8<&-
}

works() {
    copies "$1"
    i2c "$1" smbus "$smbus"
    i2c "$1" i2c-designware "$designware"
    terminal "$1"
}

for module in dca ioatdma at24 i2c-smbus i2c-i801 i2c-ccgx-ucsi i2c-designware-pci; do load $module; done
smbus=$(bus i801_smbus) designware=$(bus i2c-designware-pci)
for number in "$smbus" "$designware"; do
    echo 24c02 0x50 >"/sys/bus/i2c/devices/i2c-$number/new_device"
done
tty=/dev/$(find "$DEV/" -name 'ttyS*' | sed -n '1s/.*\///p')
works before
echo platform >/sys/power/pm_test
echo 1 >/sys/module/suspend/parameters/pm_test_delay
slept=$(served D3hot)
check "suspend to idle" sh -c 'echo freeze >/sys/power/state'
check "the port slept meanwhile" [ $(($(served D3hot) - slept)) -ge 1000 ]
works after
check "suspend to idle again" sh -c 'echo freeze >/sys/power/state'
works again
