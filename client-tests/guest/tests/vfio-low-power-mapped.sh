# The low-power features once more, with memory that the guest and its clients map.
# mapped: yes
# machine: -device intel-iommu,caching-mode=on
# kernel: intel_iommu=on

. /test/vfio-low-power.sh
