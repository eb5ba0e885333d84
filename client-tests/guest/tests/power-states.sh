# PMCSR from the guest, every width; a function without D1 and D2 that loses its state in D3hot.
# violations: unsupported-state

# sleeps_and_wakes TEXT ASLEEP AWAKE: two setpci writes, and what guest and daemon think in between.
sleeps_and_wakes() {
    config "$2"
    is "$1: PMCSR says D3hot" 3 "$((0x$(pmcsr) & 3))"
    is "$1: the daemon says D3hot" D3hot "$(served power_state)"
    config "$3"
    is "$1: PMCSR says D0" 0 "$((0x$(pmcsr) & 3))"
    is "$1: the daemon says D0" D0 "$(served power_state)"
}
sleeps_and_wakes "1-byte write" CAP_PM+4.b=03 CAP_PM+4.b=00
sleeps_and_wakes "2-byte write" CAP_PM+4.w=0003 CAP_PM+4.w=0000
sleeps_and_wakes "4-byte write" CAP_PM+4.l=00000003 CAP_PM+4.l=00000000

config CAP_PM+5.b=01
is "a write of PME_En's byte alone leaves the state" 0100 "$(pmcsr)"
config CAP_PM+4.w=0003
is "PME_En is cleared by a 2-byte write that says so" 0003 "$(pmcsr)"
config CAP_PM+5.b=01
is "PME_En set while asleep" 0103 "$(pmcsr)"
config CAP_PM+4.w=0000

for state in 1 2; do
    config CAP_PM+4.w=000$state
    is "D$state is not there: PMCSR stays" 0000 "$(pmcsr)"
    is "D$state is not there: the daemon stays" D0 "$(served power_state)"
done

config CAP_PM+4.w=0003
for state in 1 2; do
    config CAP_PM+4.w=000$state
    is "from D3hot to D$state: ignored" 0003 "$(pmcsr)"
    is "from D3hot to D$state: ignored by the daemon too" D3hot "$(served power_state)"
done
config CAP_PM+4.w=0000


is "D3hot loses registers and RAM" "lost lost" "$(memory_kept)"
