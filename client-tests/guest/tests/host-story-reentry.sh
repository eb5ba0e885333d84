# The same as host-story, with a device that may sleep again by itself: the guest does not hear of the host's access.
# profile: gpu-display
# ssdt: controller
# serve: --set platform.rail-as=low-power-reentry
# machine: -device intel-iommu,caching-mode=on
# kernel: intel_iommu=on
# limit: 240

host_access=again
. /test/host-story.sh
