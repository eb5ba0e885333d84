# D1 and D2, and a function that keeps its state in D3hot.
# violations: illegal-transition
# serve: --set capabilities.pm.d1=true --set capabilities.pm.d2=true --set capabilities.pm.no-soft-reset=true

# goes FROM TO ENDS: sets state FROM by way of D0, writes TO, and expects ENDS of guest and daemon.
goes() {
    config CAP_PM+4.b=00
    config "CAP_PM+4.b=0$1"
    config "CAP_PM+4.b=0$2"
    is "D$1 to D$2 ends in D$3" "$3" "$((0x$(pmcsr) & 3))"
    case $3 in 3) name=D3hot ;; *) name=D$3 ;; esac
    is "D$1 to D$2 ends in $name for the daemon" "$name" "$(served power_state)"
}
goes 0 1 1
goes 0 2 2
goes 1 2 2
goes 1 3 3
goes 2 3 3
goes 1 0 0
goes 2 0 0
goes 2 1 2
goes 3 1 3
goes 3 2 3
config CAP_PM+4.b=00

is "D3hot keeps registers and RAM" "kept kept" "$(memory_kept)"
