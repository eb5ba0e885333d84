# As same-answers-cold, with a function that keeps its state in D3hot.
# machine: -device intel-iommu,caching-mode=on
# kernel: intel_iommu=on
# scenario: low-power.txt
# variant: cold no-soft-reset
# ssdt: controller
# serve: --set capabilities.pm.no-soft-reset=true --set platform.delays=enforce
# limit: 300
# twin: --set platform.deepest-state=d3cold --set platform.delays=report

play_scenario
