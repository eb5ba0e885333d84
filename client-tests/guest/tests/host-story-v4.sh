# The same as host-story in the v4 dialect, in which the guest is told by a virtual PME, and a display of NVIDIA does not sleep again.
# mapped: never
# profile: gpu-display
# ssdt: controller
# serve: --set host.pm-dialect=v4 --set platform.rail-as=low-power
# machine: -device intel-iommu,caching-mode=on
# kernel: intel_iommu=on
# limit: 240

. /test/host-story.sh
