# As same-answers-cold, with a function that keeps its state in D3hot.
# machine: -device intel-iommu,caching-mode=on
# kernel: intel_iommu=on
# scenario: low-power.txt
# variant: cold no-soft-reset
# ssdt: yes
# serve: --set capabilities.pm.no-soft-reset=true
# twin: --set platform.deepest-state=d3cold

play_scenario
