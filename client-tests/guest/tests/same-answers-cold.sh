# Guest's vfio-pci and daemon answer the same scenario; D3cold is the deepest state.
# machine: -device intel-iommu,caching-mode=on
# kernel: intel_iommu=on
# scenario: low-power.txt
# variant: cold reset
# ssdt: controller
# serve: --set platform.delays=enforce
# limit: 300
# twin: --set platform.deepest-state=d3cold --set platform.delays=report

play_scenario
