# The host's driver asks for the function back, or reports an uncorrectable error: QEMU has no ear for the first, and stops the machine at the second.
# mapped: never
# boots: 2
# stderr: Unrecoverable error detected

if [ "$(ask boot)" = 1 ]; then
    status=$(ctl status)
    is "QEMU has bound a trigger for ERR, none for REQ" "1 0" "$(field err "$status") $(field req "$status")"
    is "REQ reaches nobody" false "$(field signalled "$(ctl req)")"
    echo 1 >"$DEV/enable"
    is "REQ: the function answers" $MAGIC_VALUE "$(memory 0 $MAGIC)"
    memory 0 $SCRATCH 0x5eed
    fault now req
    is "REQ by a fault: the function answers" "$MAGIC_VALUE 0x00005eed" "$(memory 0 $MAGIC) $(memory 0 $SCRATCH)"
    ctl fault clear >/dev/null
    tell err
    sleep 600
fi
echo 1 >"$DEV/enable"
is "after the reset: the function answers" "$MAGIC_VALUE 0x00000000" "$(memory 0 $MAGIC) $(memory 0 $SCRATCH)"
