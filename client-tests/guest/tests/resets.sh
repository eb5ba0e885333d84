# Function level reset, reset by way of D3hot, and reset of the bus above, as the kernel does them.
# port: x-speed=2_5

echo 1 >"$DEV/enable"
is "the function answers" $MAGIC_VALUE "$(memory 0 $MAGIC)"

for method in flr pm bus; do
    echo default >"$DEV/reset_method"
    check "$method is a reset method" grep -qw "$method" "$DEV/reset_method"
    echo "$method" >"$DEV/reset_method"
    memory 0 $SCRATCH 0xcafe
    is "$method: SCRATCH holds before" 0x0000cafe "$(memory 0 $SCRATCH)"
    before=$(($(memory 0 $RESETS)))
    check "$method: the kernel resets" sh -c "echo 1 >$DEV/reset"
    is "$method: SCRATCH is lost" 0x00000000 "$(memory 0 $SCRATCH)"
    resets=$(($(memory 0 $RESETS) - before))
    if [ $resets -ge 1 ]; then ok "$method: counted"; else fail "$method: counted" "RESETS went up by $resets"; fi
    is "$method: the function is in D0" D0 "$(served power_state)"
done
