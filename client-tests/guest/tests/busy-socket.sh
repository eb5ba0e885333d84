# A further device on a socket that is in use: QEMU lives and says why there is none, each time.
# mapped: never
# machine: -device pcie-root-port,id=rp9,bus=pcie.0,chassis=9,slot=9,addr=0x10

echo 1 >"$DEV/enable"
for round in $(seq 50); do
    like "refused for the ${round}th time" '*"error"*[Bb]usy*' "$(ask plug-second)"
done
is "the function still answers" $MAGIC_VALUE "$(memory 0 $MAGIC)"
