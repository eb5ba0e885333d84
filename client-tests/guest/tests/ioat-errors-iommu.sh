# The same through the guest's IOMMU, whose maps are what there is of memory.
# drivers: yes
# profile: ioat
# machine: -device intel-iommu,caching-mode=on
# kernel: intel_iommu=on

. /test/ioat-errors.sh
