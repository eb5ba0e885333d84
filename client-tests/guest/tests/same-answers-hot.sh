# Guest's vfio-pci and daemon answer the same scenario; D3hot is the deepest state, and loses what the function holds.
# machine: -device intel-iommu,caching-mode=on
# kernel: intel_iommu=on
# scenario: low-power.txt
# variant: hot reset
# twin: --set platform.deepest-state=d3hot

play_scenario
