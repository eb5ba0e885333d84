# The same as d3cold, in a slot without auxiliary power.
# ssdt: yes
# serve: --set platform.aux-power=false
# machine: -device intel-iommu,caching-mode=on
# kernel: intel_iommu=on

with_aux_power=false
. /test/d3cold.sh
