# The same as wake-d3cold, in a slot without auxiliary power: the wake event is lost with the power.
# mapped: never
# ssdt: controller
# serve: --set platform.aux-power=false --set platform.delays=enforce
# machine: -device intel-iommu,caching-mode=on
# kernel: intel_iommu=on

with_aux_power=false
. /test/wake-d3cold.sh
