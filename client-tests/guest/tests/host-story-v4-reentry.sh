# The same as host-story-v4, with a device that may sleep again by itself: it does not while the guest has PME enabled, since it is told then.
# mapped: never
# profile: testdev
# ssdt: controller
# serve: --set host.pm-dialect=v4 --set platform.rail-as=low-power-reentry
# machine: -device intel-iommu,caching-mode=on
# kernel: intel_iommu=on
# limit: 240

profile_id=4660
. /test/host-story.sh
