# Guest's vfio-pci and daemon answer alike for a function that is silent, stuck or gone; D3hot is the deepest state. The guest's clock counts
# executed instructions and jumps ahead while it sleeps, so its waits of over a minute are over at once; the daemon's host does not wait at all.
# machine: -device intel-iommu,caching-mode=on -icount shift=0,sleep=off
# kernel: intel_iommu=on
# limit: 300
# violations: too-early
# errors: yes
# complaints: Unable to change power state from D[03][a-z]* to D[03][a-z]*, device inaccessible|Refused to change power state from D3hot to D0
# stderr: Unable to power on device, stuck in D3|reset reply error 25|invalid PCI interrupt pin 255
# scenario: silent.txt
# variant: hot
# twin: --set platform.deepest-state=d3hot

play_scenario
