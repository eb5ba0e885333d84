# The same as d3cold, in a slot without auxiliary power.
# ssdt: controller
# serve: --set platform.aux-power=false --set platform.delays=enforce
# machine: -device intel-iommu,caching-mode=on
# kernel: intel_iommu=on
# limit: 300

with_aux_power=false
. /test/d3cold.sh
