# The same as host-story, with a device that may sleep again by itself: the guest does not hear of the host's access. That its
# driver did not prepare the function for this sleep is a violation.
# mapped: never
# violations: cold-without-driver
# profile: gpu-display
# ssdt: controller
# serve: --set platform.rail-as=low-power-reentry
# machine: -device intel-iommu,caching-mode=on
# kernel: intel_iommu=on
# limit: 240

host_access=again
. /test/host-story.sh
is "the sleep that no driver prepared is recorded" 1 "$(field cold-without-driver "$(ctl violations)")"
