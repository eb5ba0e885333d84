# The same as vfio-low-power, with a function that keeps its state in D3hot.
# serve: --set capabilities.pm.no-soft-reset=true
# machine: -device intel-iommu,caching-mode=on
# kernel: intel_iommu=on

. /test/vfio-low-power.sh
