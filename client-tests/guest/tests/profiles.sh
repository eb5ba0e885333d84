# Every other built-in profile boots, is found whole, and is left alone by a guest that has no driver for it.
# profile: gpu-display gpu-3d gpu-audio nic nvme xhci

size=$((16 * $(grep -c '0: ' /test/config-space)))
. /test/enumeration.sh

config CAP_PM+4.w=0003
is "D3hot and back: asleep" 3 "$((0x$(pmcsr) & 3))"
is "D3hot and back: the daemon agrees" D3hot "$(served power_state)"
config CAP_PM+4.w=0000
is "D3hot and back: awake" 0 "$((0x$(pmcsr) & 3))"
is "D3hot and back: the daemon agrees again" D0 "$(served power_state)"
