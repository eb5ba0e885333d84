# Guest's vfio-pci and daemon show the same config space.
# machine: -device intel-iommu,caching-mode=on
# kernel: intel_iommu=on
# scenario: config-space.txt

play_scenario
