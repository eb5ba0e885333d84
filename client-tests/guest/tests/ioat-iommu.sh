# The same through the guest's IOMMU, which maps and unmaps for every copy.
# drivers: yes
# profile: ioat
# machine: -device intel-iommu,caching-mode=on
# kernel: intel_iommu=on iommu.strict=1
# limit: 600

. /test/ioat.sh
