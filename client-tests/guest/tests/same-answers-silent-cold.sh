# As same-answers-silent; D3cold is the deepest state.
# machine: -device intel-iommu,caching-mode=on -icount shift=0,sleep=off
# kernel: intel_iommu=on
# limit: 300
# violations: too-early
# errors: yes
# complaints: Unable to change power state from D[03][a-z]* to D[03][a-z]*, device inaccessible|Refused to change power state from D3hot to D0
# stderr: Unable to power on device, stuck in D3|reset reply error 25|invalid PCI interrupt pin 255
# scenario: silent.txt
# variant: cold
# ssdt: controller
# twin: --set platform.deepest-state=d3cold

play_scenario
